"""The call being handled: who asks, until when, under which request id. Travels with every question over the bus."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

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

    def may_ask(self, model: str) -> bool:
        return self.models is None or model in self.models


@dataclass(frozen=True)
class Call:
    """`deadline` is a moment of `time.time()`, in seconds, after which nobody waits for the answer."""

    principal: Principal | None = None
    deadline: float | None = None
    request_id: str | None = None
    idempotency_key: str | None = None

    def remaining(self) -> float | None:
        """Seconds left, which may be negative; None when nothing bounds the call."""
        return None if self.deadline is None else self.deadline - time.time()

    def headers(self, deadline: float) -> dict[str, str]:
        """The bus headers of a question that is asked on behalf of this call."""
        headers = {Header.DEADLINE.value: f"{deadline:.3f}"}
        if self.principal is not None:
            headers[Header.PRINCIPAL.value] = self.principal.model_dump_json(exclude_defaults=True)
        if self.request_id is not None:
            headers[Header.REQUEST_ID.value] = self.request_id
        if self.idempotency_key is not None:
            headers[Header.IDEMPOTENCY_KEY.value] = self.idempotency_key
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Call":
        principal = headers.get(Header.PRINCIPAL)
        deadline = headers.get(Header.DEADLINE)
        return cls(
            principal=Principal.model_validate_json(principal) if principal else None,
            deadline=float(deadline) if deadline else None,
            request_id=headers.get(Header.REQUEST_ID),
            idempotency_key=headers.get(Header.IDEMPOTENCY_KEY),
        )


_NO_CALL = Call()
_CALL: ContextVar[Call] = ContextVar("call", default=_NO_CALL)


def current() -> Call:
    """The call being handled, or an empty one outside of any."""
    return _CALL.get()


@contextmanager
def calling(call: Call) -> Iterator[Call]:
    """Makes `call` the current one for the duration of the block."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)
