"""Who calls, and whether they may: the admin key of the settings, or an API key from the in-memory snapshot."""

import hmac
from collections.abc import Mapping

from pydantic import SecretStr

from common.context import Principal
from contracts.base import RefusalCode, Refused
from contracts.gateway import Role
from gateway.domain import keys
from gateway.keyring import Keyring

_ADMIN = Principal(id="admin", name="admin", role="admin")


class Doorkeeper:
    """Knows callers by their keys. Asks no database, so the hot path pays microseconds for it."""

    def __init__(self, admin_key: SecretStr, keyring: Keyring) -> None:
        secret = admin_key.get_secret_value()
        self._admin = keys.digest(secret) if secret else None
        self._keyring = keyring

    def admit(self, headers: Mapping[str, str], least: Role | None) -> Principal | None:
        """The caller, who has at least the role `least`; nobody where the route is open.

        Raises `Refused`: UNAUTHENTICATED without a valid key, FORBIDDEN with one of a lesser role.
        """
        if least is None:
            return None
        principal = self._known(_credential(headers))
        if not keys.may(principal.role, least):
            raise Refused(RefusalCode.FORBIDDEN, f"This needs the role {least}; the key's role is {principal.role}")
        return principal

    def _known(self, credential: str) -> Principal:
        if self._admin is not None and hmac.compare_digest(keys.digest(credential), self._admin):
            return _ADMIN
        return self._keyring.holder(credential).principal


def _credential(headers: Mapping[str, str]) -> str:
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer" and credential.strip():
            return credential.strip()
        raise Refused(RefusalCode.UNAUTHENTICATED, "The Authorization header must be `Bearer <key>`")
    if credential := headers.get("X-API-Key", "").strip():
        return credential
    raise Refused(RefusalCode.UNAUTHENTICATED, "An API key is required")
