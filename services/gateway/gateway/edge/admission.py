"""Whether a request is let in: who asks, how often, and whether that role may."""

from aiohttp import web

from common.context import Principal
from contracts.base import RefusalCode, Refused
from gateway.domain import keys, people
from gateway.edge.access import Doorkeeper
from gateway.edge.cookies import CSRF_HEADER
from gateway.edge.noted import PRINCIPAL, SESSION, STANDING
from gateway.limits import Caller, Proxies, Rates
from gateway.limits.rates import refusal
from gateway.routes.table import Route

_SAFE = ("GET", "HEAD", "OPTIONS")


class Admission:
    """Every request passes here before anything else is done for it."""

    def __init__(self, doorkeeper: Doorkeeper, rates: Rates, proxies: Proxies) -> None:
        self._doorkeeper = doorkeeper
        self._rates = rates
        self._proxies = proxies

    async def admit(self, request: web.Request, route: Route | None) -> Principal | None:
        """The caller, who may call `route`; None where the route, or a path that leads nowhere, is open to everyone.

        Raises `Refused`: RATE_LIMITED, UNAUTHENTICATED without a valid key, FORBIDDEN with one of a lesser role.
        """
        caller, unknown = await self._identified(request, takes_ticket=route is not None and route.takes_ticket)
        # Those without a valid key are counted by address, so keys cannot be guessed quickly.
        origin = "" if caller is not None else self._proxies.origin(request)
        standing = await self._rates.count(caller, origin, route)
        if standing is not None:
            request[STANDING] = standing
            if not standing.admitted:
                raise refusal(standing)
        if caller is not None:
            request[PRINCIPAL] = caller.principal
            if caller.session_token is not None:
                request[SESSION] = caller.session_token
                if route is not None and route.role is not None:
                    _check_csrf(request, caller.session_token)
        if route is not None and route.role is not None:
            if caller is None:
                raise unknown or Refused(RefusalCode.UNAUTHENTICATED, "An API key or a session is required")
            if not keys.may(caller.principal.role, route.role):
                raise Refused(
                    RefusalCode.FORBIDDEN,
                    f"This needs the role {route.role}; the caller's role is {caller.principal.role}",
                )
        return None if caller is None else caller.principal

    async def still_knows(self, request: web.Request, principal: Principal) -> bool:
        """Whether the key or the session of a request that goes on for long still stands for `principal`, in its role.

        While that cannot be said it does.
        """
        caller, unknown = await self._identified(request)
        if caller is None:
            return unknown is not None and unknown.code is not RefusalCode.UNAUTHENTICATED
        return (caller.principal.id, caller.principal.role) == (principal.id, principal.role)

    async def _identified(
        self, request: web.Request, *, takes_ticket: bool = False
    ) -> tuple[Caller | None, Refused | None]:
        try:
            return await self._doorkeeper.identify(request, takes_ticket=takes_ticket), None
        except Refused as refused:
            return None, refused


def _check_csrf(request: web.Request, token: str) -> None:
    """Another site's page can make a browser send the cookie, but knows nothing that follows from it."""
    if request.method not in _SAFE and not people.is_csrf_token(request.headers.get(CSRF_HEADER, ""), token):
        raise Refused(RefusalCode.FORBIDDEN, f"In a session this needs the header {CSRF_HEADER} (see GET /api/v1/me)")
