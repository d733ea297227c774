"""LLM instances, by their ports (document C)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, operation
from llm_platform.core.effects import Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/llm/instances"


class Instances(Family[R]):
    """`client.instances`"""

    @operation
    def list(self) -> Steps[list[answers.InstanceView]]:
        """All instances, and how they are."""
        return self._get(_BASE, list[answers.InstanceView])

    @operation
    def create(self, **fields: Unpack[requests.CreateInstance]) -> Steps[answers.InstanceView]:
        """Registers an instance under a port."""
        return self._post(_BASE, answers.InstanceView, fields)

    @operation
    def get(self, port: int) -> Steps[answers.InstanceView]:
        """One instance."""
        return self._get(at(_BASE, port), answers.InstanceView)

    @operation
    def update(self, port: int, **fields: Unpack[requests.UpdateInstance]) -> Steps[answers.InstanceView]:
        """Changes the given fields."""
        return self._put(at(_BASE, port), answers.InstanceView, fields)

    @operation
    def delete(self, port: int) -> Steps[answers.Told]:
        """Removes an instance."""
        return self._delete(at(_BASE, port), answers.Told)

    @operation
    def test(self, port: int) -> Steps[answers.Connected | answers.NotConnected]:
        """Whether it answers; `connected` says so."""
        return self._get(at("/api/llm/test", port), answers.Connected | answers.NotConnected)

    @operation
    def info(self, port: int) -> Steps[answers.InstanceInfoView]:
        """All that it says of itself."""
        return self._get(at("/api/llm/info", port), answers.InstanceInfoView)
