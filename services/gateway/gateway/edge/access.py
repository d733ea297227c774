"""Who calls: the admin key of the settings, or an API key from the in-memory snapshot."""

import hmac
from collections.abc import Mapping

from pydantic import SecretStr

from common.context import Principal
from contracts.base import RefusalCode, Refused
from gateway.domain import keys
from gateway.keyring import Keyring
from gateway.limits import Caller

_ADMIN = Caller(Principal(id="admin", name="admin", role="admin"))


class Doorkeeper:
    """Knows callers by their keys. Asks no database, so the hot path pays microseconds for it."""

    def __init__(self, admin_key: SecretStr, keyring: Keyring) -> None:
        secret = admin_key.get_secret_value()
        self._admin = keys.digest(secret) if secret else None
        self._keyring = keyring

    def identify(self, headers: Mapping[str, str]) -> Caller | None:
        """Who calls; None where the headers name nobody. Raises `Refused(UNAUTHENTICATED)` where a key is not valid."""
        credential = _credential(headers)
        if credential is None:
            return None
        if self._admin is not None and hmac.compare_digest(keys.digest(credential), self._admin):
            return _ADMIN
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
