"""The call being handled: who asks, until when, under which request id. Travels with every question over the bus."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property, lru_cache
from typing import NamedTuple

from contracts.base import EventBody
from contracts.gateway import Budget, ResponseStyle, Role
from contracts.topology import Header


class Principal(EventBody):
    """Who asks: the id and name of an API key or a user, and the role it has.

    `models` are those it may ask, None for all; `budget` is what completions on its behalf may cost.
    """

    id: str
    name: str
    role: Role
    response_style: ResponseStyle = "envelope"
    models: tuple[str, ...] | None = None
    budget: Budget | None = None

    @cached_property
    def as_header(self) -> str:
        """As it travels over the bus."""
        return self.model_dump_json(exclude_defaults=True)

    def may_ask(self, model: str) -> bool:
        return self.models is None or model in self.models


class Call(NamedTuple):
    """`deadline` is a moment of `time.time()`, in seconds, after which nobody waits for the answer.

    `subject` is the question's, where it came over the bus.
    """

    principal: Principal | None = None
    deadline: float | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    subject: str | None = None

    @property
    def owner(self) -> str:
        """Who what is made by this call belongs to: the id of who asks, empty where nobody does."""
        return "" if self.principal is None else self.principal.id

    def controls(self, owner: str) -> bool:
        """Whether what `owner` has made is the caller's to see and to change: its own, an admin's all."""
        return self.owner == owner or self.is_admin

    @property
    def is_admin(self) -> bool:
        return self.principal is not None and self.principal.role == "admin"

    def remaining(self) -> float | None:
        """Seconds left, which may be negative; None when nothing bounds the call."""
        return None if self.deadline is None else self.deadline - time.time()

    def headers(self, deadline: float) -> dict[str, str]:
        """The bus headers of a question that is asked on behalf of this call."""
        headers: dict[str, str] = {Header.DEADLINE: f"{deadline:.3f}"}
        if self.principal is not None:
            headers[Header.PRINCIPAL] = self.principal.as_header
        if self.request_id is not None:
            headers[Header.REQUEST_ID] = self.request_id
        if self.idempotency_key is not None:
            headers[Header.IDEMPOTENCY_KEY] = self.idempotency_key
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], subject: str | None = None) -> "Call":
        principal = headers.get(Header.PRINCIPAL)
        deadline = headers.get(Header.DEADLINE)
        return cls(
            principal=_principal(principal) if principal else None,
            deadline=float(deadline) if deadline else None,
            request_id=headers.get(Header.REQUEST_ID),
            idempotency_key=headers.get(Header.IDEMPOTENCY_KEY),
            subject=subject,
        )


@lru_cache(maxsize=4096)
def _principal(header: str) -> Principal:
    """The same callers ask again and again."""
    return Principal.model_validate_json(header)


_NO_CALL = Call()
_CALL: ContextVar[Call] = ContextVar("call", default=_NO_CALL)


def current() -> Call:
    """The call being handled, or an empty one outside of any."""
    return _CALL.get()


class calling:  # noqa: N801 - reads as the statement that it is
    """Makes `call` the current one for the duration of the block."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> Call:
        self._token = _CALL.set(self._call)
        return self._call

    def __exit__(self, *_: object) -> None:
        _CALL.reset(self._token)
