"""Provider tokens, encrypted before they are stored."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused

_log = get_logger("tokens")


class TokenVault:
    """Seals tokens with the first of the platform's keys, which commas stand between, and opens them with any.

    Raises ValueError when made with a key that is none.
    """

    def __init__(self, keys: SecretStr | None) -> None:
        given = keys.get_secret_value() if keys is not None else ""
        fernets = [Fernet(key.strip()) for key in given.split(",")] if given else []
        self._newest = fernets[0] if fernets else None
        self._fernet = MultiFernet(fernets) if fernets else None

    def seal(self, token: str) -> bytes:
        """Raises `Refused(INVALID)` when there is no key: a token is never stored in the clear."""
        if self._fernet is None:
            message = "No token can be stored, since the platform has no encryption key (PLATFORM_SECRET_KEY)"
            raise Refused(RefusalCode.INVALID, message, {"errors": [{"field": "auth_token", "message": message}]})
        return self._fernet.encrypt(token.encode())

    def open(self, sealed: bytes, engine: str) -> str | None:
        """The token, or None when it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed).decode() if self._fernet is not None else None
        except InvalidToken:
            _log.error("token_unreadable", engine=engine, hint="PLATFORM_SECRET_KEY is not the one it was sealed with")
            return None

    def resealed(self, sealed: bytes) -> bytes | None:
        """The same token sealed with the first key; None where it is already, or cannot be opened."""
        if self._newest is None or self._fernet is None:
            return None
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            try:
                return self._fernet.rotate(sealed)
            except InvalidToken:
                return None
        return None
