"""API keys: `llmp_<id>_<secret>`. The id finds the key; of the secret only a digest is ever kept."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.base import Message, Timestamp
from contracts.gateway import Budget, ResponseStyle, Role
from contracts.pages import Page, PageRequest

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=300)]

_PREFIX = "llmp"
_RANKS: dict[Role, int] = {"viewer": 0, "member": 1, "admin": 2}


class NewApiKey(Message):
    """A key to make. A viewer only reads, a member reads and writes, an admin also manages keys and configuration.

    `allowed_models` are those it may ask, null for all. `requests_per_minute` takes the place of the limit that every
    user has. From `expires_at` on it is refused.
    """

    name: str = Field(min_length=1, max_length=100)
    role: Role = "member"
    response_style: ResponseStyle = "envelope"
    allowed_models: list[ModelName] | None = Field(default=None, min_length=1, max_length=1000)
    requests_per_minute: int | None = Field(default=None, ge=1, le=10_000_000)
    budget: Budget | None = None
    expires_at: Timestamp | None = None


class ReplacedApiKey(NewApiKey):
    """A key as it shall be from now on, but for its secret: what is left out gets its default."""

    key_id: str = Field(min_length=1, max_length=64)


class ChangedApiKey(Message):
    """Changes the given fields of a key; null takes a limit away."""

    key_id: str = Field(min_length=1, max_length=64)
    name: str = Field(default="", min_length=1, max_length=100)
    role: Role = "member"
    response_style: ResponseStyle = "envelope"
    allowed_models: list[ModelName] | None = Field(default=None, min_length=1, max_length=1000)
    requests_per_minute: int | None = Field(default=None, ge=1, le=10_000_000)
    budget: Budget | None = None
    expires_at: Timestamp | None = None

    def applied_to(self, key: "ApiKey") -> NewApiKey:
        """The whole that `key` becomes."""
        given = self.model_fields_set - {"key_id"}
        return NewApiKey.model_validate(
            {name: getattr(self if name in given else key, name) for name in NewApiKey.model_fields}
        )


class ApiKey(Message):
    """A key as it is shown: without its secret, which nobody can tell again."""

    key_id: str
    name: str
    role: Role
    response_style: ResponseStyle
    allowed_models: list[str] | None
    requests_per_minute: int | None
    budget: Budget | None
    expires_at: Timestamp | None
    created_at: Timestamp
    revoked_at: Timestamp | None


class CreatedApiKey(ApiKey):
    """The answer to making a key, and the only one that ever holds it."""

    key: str


class ListApiKeys(PageRequest):
    include_revoked: bool = False


class ApiKeyPage(Page[ApiKey]):
    """Keys, newest first."""


class NamedApiKey(Message):
    """The key that a path names."""

    key_id: str = Field(min_length=1, max_length=64)


@dataclass(frozen=True)
class MintedKey:
    """A key just made: its whole text for the caller, its digest for the store."""

    key_id: str
    text: str
    digest: bytes


@dataclass(frozen=True)
class StoredKey:
    """A key that may be used, with what a caller's secret is compared to."""

    key: ApiKey
    digest: bytes

    def has_expired(self, now: datetime) -> bool:
        return self.key.expires_at is not None and self.key.expires_at <= now


def mint() -> MintedKey:
    """A new key with 256 random bits."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return MintedKey(key_id, f"{_PREFIX}_{key_id}_{secret}", digest(secret))


def parse(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key's text; None when it is no key of ours."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == _PREFIX and key_id and secret else None


def digest(secret: str) -> bytes:
    """What is kept of a secret. It is as random as the digest is long, so a slow hash would add nothing.

    Of one that a header brings, whatever bytes it has: those that are no UTF-8 arrive as surrogates.
    """
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def opens(secret: str, kept: bytes) -> bool:
    """Whether `secret` is the one that `kept` is the digest of, in a time that tells nothing about it."""
    return hmac.compare_digest(digest(secret), kept)


def may(role: Role, least: Role) -> bool:
    """Whether `role` may do what takes at least the role `least`."""
    return _RANKS[role] >= _RANKS[least]
