"""Who calls: the admin key of the settings, an API key from the in-memory snapshot, or a user in a session."""

import hmac
from collections.abc import Mapping

from aiohttp import web
from pydantic import SecretStr

from common.context import Principal
from contracts.base import RefusalCode, Refused
from gateway.domain import keys
from gateway.edge import cookies
from gateway.keyring import Keyring
from gateway.limits import Caller
from gateway.people.sessions import Sessions

ADMIN = Principal(id="admin", name="admin", role="admin")
"""Whoever has the admin key of the settings."""


class Doorkeeper:
    """Knows callers. For keys no database is asked, so the hot path pays microseconds for it."""

    def __init__(self, admin_key: SecretStr, keyring: Keyring, sessions: Sessions) -> None:
        secret = admin_key.get_secret_value()
        self._admin = keys.digest(secret) if secret else None
        self._keyring = keyring
        self._sessions = sessions

    async def identify(self, request: web.Request) -> Caller | None:
        """Who calls; None where the request names nobody. A key counts before a session.

        Raises `Refused`: UNAUTHENTICATED where a key or a session is not valid.
        """
        credential = _credential(request.headers)
        if credential is not None:
            return self._holder(credential)
        token = cookies.session_token(request)
        return None if token is None else await self._in_session(token)

    async def _in_session(self, token: str) -> Caller:
        session = await self._sessions.find(token)
        if session is None:
            raise Refused(RefusalCode.UNAUTHENTICATED, "The session is over: log in again")
        user = session.user
        return Caller(Principal(id=user.user_id, name=user.name, role=user.role), session_token=token)

    def _holder(self, credential: str) -> Caller:
        if self._admin is not None and hmac.compare_digest(keys.digest(credential), self._admin):
            return Caller(ADMIN)
        holder = self._keyring.holder(credential)
        return Caller(holder.principal, holder.requests_per_minute)


def _credential(headers: Mapping[str, str]) -> str | None:
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer" and credential.strip():
            return credential.strip()
        raise Refused(RefusalCode.UNAUTHENTICATED, "The Authorization header must be `Bearer <key>`")
    return headers.get("X-API-Key", "").strip() or None
