"""The platform itself: how it is, and who asks."""

from typing import Unpack

from llm_platform.core.binding import Family, R, operation
from llm_platform.core.effects import Steps
from llm_platform.schemas import answers, requests


class Platform(Family[R]):
    """`client.platform`"""

    @operation
    def health(self) -> Steps[answers.Health]:
        """Its health, part by part."""
        return self._get("/health", answers.Health)

    @operation
    def ready(self) -> Steps[answers.Readiness]:
        """Whether this gateway can take requests."""
        return self._get("/ready", answers.Readiness)

    @operation
    def metrics(self, **over: Unpack[requests.MetricsQuery]) -> Steps[answers.ServerMetrics]:
        """Its metrics over the last `window` seconds (document D)."""
        return self._get("/api/v1/metrics", answers.ServerMetrics, **over)

    @operation
    def me(self) -> Steps[answers.Me]:
        """Who the key belongs to."""
        return self._get("/api/v1/me", answers.Me)
