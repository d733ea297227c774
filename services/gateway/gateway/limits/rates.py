"""Rate limits (specs/README.md, point 4), exact over all gateway processes."""

import math
import time
from dataclasses import dataclass, field

from common.allowances import Allowances, Limit, Standing, Window
from common.context import Principal
from contracts.base import RefusalCode, Refused
from gateway.routes.table import Family, Quota, Route, Special
from gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Caller:
    """Who asks. `requests_per_minute` is a limit of its own in place of the usual one.

    `session_token` is there where the caller came with a session and not with a key.
    """

    principal: Principal
    requests_per_minute: int | None = None
    session_token: str | None = field(default=None, repr=False)


class Rates:
    """Counts requests against the limits that they fall under. A limit of 0 in the settings is none."""

    def __init__(self, allowances: Allowances, settings: GatewaySettings) -> None:
        self._allowances = allowances
        self._user = settings.user_requests_per_minute
        self._address = settings.address_requests_per_minute
        self._logins = settings.logins_per_minute
        self._quotas: dict[Quota, tuple[Window, int]] = {
            Quota.TEST: ("minute", settings.tests_per_minute),
            Quota.EXECUTION: ("day", settings.executions_per_day),
        }

    async def count(self, caller: Caller | None, origin: str, route: Route | None) -> Standing | None:
        """How the caller stands with the limit that is nearest now; None where no limit holds.

        What is refused by one limit still counts for those asked before it.
        """
        nearest: Standing | None = None
        if route is not None and _is_unlimited(route, caller):
            return None
        for limit in self._limits(caller, origin, route):
            standing = self._allowances.spend(limit) or await self._allowances.take(limit)
            if nearest is None or standing.remaining < nearest.remaining or not standing.admitted:
                nearest = standing
            if not standing.admitted:
                break
        return nearest

    async def count_login(self, name: str, origin: str) -> None:
        """A try to log in, right or wrong. Raises `Refused(RATE_LIMITED)`."""
        if not self._logins:
            return
        # Whoever guesses at a name from one place must not shut its owner out, who comes from another.
        here = Limit(f"login:{name.lower()}@{origin}", self._logins, "minute")
        by_address = Limit(f"login-address:{origin}", 3 * self._logins, "minute")
        by_name = Limit(f"login-name:{name.lower()}", 10 * self._logins, "minute")
        for limit in (here, by_address, by_name):
            standing = await self._allowances.take(limit)
            if not standing.admitted:
                raise refusal(standing)

    def _limits(self, caller: Caller | None, origin: str, route: Route | None) -> list[Limit]:
        if caller is None:
            return [Limit(f"address:{origin}", self._address, "minute")] if self._address else []
        limits: list[Limit] = []
        name = caller.principal.id
        if most := caller.requests_per_minute or self._user:
            limits.append(Limit(f"user:{name}", most, "minute"))
        if route is not None and route.quota is not None:
            window, most = self._quotas[route.quota]
            if most:
                limits.append(Limit(f"{route.quota}:{name}", most, window))
        return limits


def _is_unlimited(route: Route, caller: Caller | None) -> bool:
    """Document B's reads, and the probe that may take this gateway out of service: others' requests must not."""
    if caller is None:
        return route.special is Special.READY
    return route.method == "GET" and route.family in (Family.LLM, Family.TEMPLATES)


def headers(standing: Standing) -> dict[str, str]:
    """Document E's headers."""
    return {
        "X-RateLimit-Limit": str(standing.limit),
        "X-RateLimit-Remaining": str(standing.remaining),
        "X-RateLimit-Reset": str(standing.resets_at),
    }


def openai_headers(standing: Standing) -> dict[str, str]:
    """The same as OpenAI's API says it."""
    return {
        "x-ratelimit-limit-requests": str(standing.limit),
        "x-ratelimit-remaining-requests": str(standing.remaining),
        "x-ratelimit-reset-requests": f"{_seconds_left(standing)}s",
    }


def _seconds_left(standing: Standing) -> int:
    """Until the limit starts anew."""
    return max(1, math.ceil((standing.resets_at or 0) - time.time()))


def refusal(standing: Standing) -> Refused:
    """What a caller hears whose limit is reached."""
    seconds = _seconds_left(standing)
    return Refused(
        RefusalCode.RATE_LIMITED,
        f"The limit of {standing.limit} requests is reached; it starts anew in {seconds} seconds",
        {"limit": standing.limit, "retry_after": seconds},
    )
