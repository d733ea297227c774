"""Who calls: the admin key of the settings, an API key from the in-memory snapshot, or a user in a session."""

import hmac
from collections.abc import Mapping

from aiohttp import web
from pydantic import SecretStr

from common.context import Principal
from contracts.base import RefusalCode, Refused
from gateway.domain import keys
from gateway.domain.people import User
from gateway.edge import cookies
from gateway.keyring import Keyring
from gateway.limits import Caller
from gateway.people.sessions import Sessions
from gateway.people.tickets import Tickets
from gateway.routes.table import TICKET

ADMIN = Principal(id="admin", name="admin", role="admin")
"""Whoever has the admin key of the settings."""


class Doorkeeper:
    """Knows callers. For keys no database is asked, so the hot path pays microseconds for it."""

    def __init__(self, admin_key: SecretStr, keyring: Keyring, sessions: Sessions, tickets: Tickets) -> None:
        secret = admin_key.get_secret_value()
        self._admin = keys.digest(secret) if secret else None
        self._keyring = keyring
        self._sessions = sessions
        self._tickets = tickets

    async def identify(self, request: web.Request, *, takes_ticket: bool = False) -> Caller | None:
        """Who calls; None where the request names nobody. A key counts before a ticket, and that before a session.

        Raises `Refused`: UNAUTHENTICATED where a key, a ticket or a session is not valid.
        """
        credential = _credential(request.headers)
        if credential is not None:
            return self._holder(credential)
        if takes_ticket and (ticket := request.query.get(TICKET)):
            return Caller(await self._tickets.redeem(ticket))
        token = cookies.session_token(request)
        return None if token is None else await self._in_session(token)

    async def _in_session(self, token: str) -> Caller:
        session = await self._sessions.find(token)
        if session is None:
            raise Refused(RefusalCode.UNAUTHENTICATED, "The session is over: log in again")
        return Caller(in_name_of(session.user), session_token=token)

    def _holder(self, credential: str) -> Caller:
        holder = self._keyring.holder(credential)
        if holder is not None:
            return holder.caller
        if self._admin is not None and hmac.compare_digest(keys.digest(credential), self._admin):
            return Caller(ADMIN)
        raise Refused(RefusalCode.UNAUTHENTICATED, "The API key is not valid")


def in_name_of(user: User) -> Principal:
    """Who calls when `user` does."""
    return Principal(id=user.user_id, name=user.name, role=user.role)


def came_with_ticket(request: web.Request) -> bool:
    """Whether it was a ticket that said who calls, on a route that takes one."""
    return bool(request.query.get(TICKET)) and _credential(request.headers) is None


def _credential(headers: Mapping[str, str]) -> str | None:
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer" and credential.strip():
            return credential.strip()
        raise Refused(RefusalCode.UNAUTHENTICATED, "The Authorization header must be `Bearer <key>`")
    return headers.get("X-API-Key", "").strip() or None
