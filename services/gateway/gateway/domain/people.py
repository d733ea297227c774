"""People who log in, and their sessions: a random token in a cookie, of which only a digest is kept."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.base import Message, Timestamp
from contracts.gateway import ResponseStyle, Role
from contracts.pages import Page, PageRequest

UserName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
SHORTEST_PASSWORD = 12
NewPassword = Annotated[str, Field(min_length=SHORTEST_PASSWORD, max_length=1024)]
_CSRF = b"csrf:"


class NewUser(Message):
    """A person to let in. Names are told apart without regard to case."""

    name: UserName
    password: NewPassword
    role: Role = "member"


class ChangedUser(Message):
    """Changes the given fields. A new password, another role or `disabled` ends all sessions of the user."""

    user_id: str = Field(min_length=1, max_length=64)
    name: UserName | None = None
    password: NewPassword | None = None
    role: Role | None = None
    disabled: bool | None = None

    def applied_to(self, user: "User") -> "User":
        given = self.model_dump(include={"name", "role", "disabled"}, exclude_none=True)
        return user.model_copy(update=given)


class NamedUser(Message):
    """The user that a path names."""

    user_id: str = Field(min_length=1, max_length=64)


class User(Message):
    user_id: str
    name: str
    role: Role
    disabled: bool
    created_at: Timestamp
    updated_at: Timestamp


class ListUsers(PageRequest):
    """Users, by name."""


class UserPage(Page[User]):
    """Users, by name."""


class Credentials(Message):
    """A name and a password, as the login page sends them."""

    name: str = Field(min_length=1, max_length=100)
    password: str = Field(min_length=1, max_length=1024)


class ChangedPassword(Message):
    """Gives the caller another password, which ends all other sessions."""

    password: str = Field(min_length=1, max_length=1024)
    new_password: NewPassword


class LoggedIn(Message):
    """A session begun; its cookie comes with the answer. Requests that change something carry `X-CSRF-Token`."""

    user: User
    csrf_token: str
    expires_at: Timestamp


class LoggedOut(Message):
    """How many sessions ended."""

    ended: int


class Me(Message):
    """Who calls. `csrf_token` is there for a session alone."""

    id: str
    name: str
    role: Role
    kind: Literal["admin_key", "api_key", "session"]
    response_style: ResponseStyle
    csrf_token: str | None


@dataclass(frozen=True)
class Session:
    """A session that holds now. `digest` names it; in `seconds_left` it is over in any case."""

    digest: bytes
    user: User
    seconds_left: float


def new_token() -> str:
    """256 random bits, as the cookie holds them."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a token, whatever bytes a cookie has: those that are no UTF-8 arrive as surrogates."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def csrf_token(token: str) -> str:
    """What a page of ours knows and sends back: it follows from the cookie, which other sites' pages cannot read."""
    return hashlib.sha256(_CSRF + token.encode()).hexdigest()


def is_csrf_token(offered: str, token: str) -> bool:
    return hmac.compare_digest(offered.encode(errors="surrogateescape"), csrf_token(token).encode())


def ends_sessions(before: User, after: User, *, new_password: bool) -> bool:
    """Whether a change takes something away, so that the user has to log in again."""
    return new_password or after.disabled or before.role != after.role
