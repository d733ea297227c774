"""Provider tokens, encrypted before they are stored."""

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused

_log = get_logger("tokens")


class TokenVault:
    """Seals and opens tokens with the platform's key. Raises ValueError when made with a key that is none."""

    def __init__(self, key: SecretStr | None) -> None:
        self._fernet = Fernet(key.get_secret_value()) if key is not None and key.get_secret_value() else None

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
