"""What a procedure may want of the outside world, as values.

A procedure is a generator: it yields effects and is sent what they came to; what it yields besides are the items of a
stream. It knows no sockets and no event loop, so that it is written once: `llm_platform.transport` has one runner that
blocks and one for asyncio. An effect that fails raises a `PlatformError` in the procedure, at the place of its `yield`.

    answer = yield from Send(request)
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from llm_platform.errors import PlatformError

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Effect(Generic[T]):
    """Something to be done outside, which comes to a `T`."""

    def __iter__(self) -> Generator["Effect[Any]", Any, T]:
        done: T = yield self
        return done


Steps = Generator[Effect[Any], Any, T]
"""A procedure that comes to a `T`."""
Flow = Generator[Effect[Any] | T, Any, None]
"""A procedure that yields any number of `T` on its way."""


@dataclass(frozen=True)
class Body:
    """What a request carries: bytes, or pieces of `length` bytes in all, begun anew with each attempt."""

    media: str
    content: bytes | Callable[[], Iterator[bytes]]
    length: int


@dataclass(frozen=True)
class Request:
    """A request below the platform's own address. `path` is escaped already. `once` says that the platform does it once
    however often it comes under the same idempotency key; `also` is a status that is an answer though it refuses."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    once: bool = False
    also: int | None = None


@dataclass(frozen=True)
class Answer:
    """Headers are named in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Send(Effect[Answer]):
    """Ask, and read the whole answer."""

    request: Request


@dataclass(frozen=True)
class Open(Effect[Answer]):
    """Ask, and leave the answer's body to be read. Whatever was open before is closed."""

    request: Request
    silence: float | None = None
    """After so many seconds without a byte the connection counts as lost."""


@dataclass(frozen=True)
class Read(Effect[bytes]):
    """The next bytes of what is open; none at its proper end."""


@dataclass(frozen=True)
class Dial(Effect[None]):
    """Open a WebSocket. Whatever was open before is closed."""

    path: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Closed:
    """How the other side closed a WebSocket."""

    code: int
    reason: str


@dataclass(frozen=True)
class Hear(Effect["str | Closed"]):
    """The next message of the WebSocket."""


@dataclass(frozen=True)
class Sleep(Effect[None]):
    seconds: float


@dataclass(frozen=True)
class Do(Effect[T]):
    """Work on the disk, which may take its time."""

    work: Callable[[], T]


@dataclass(frozen=True)
class Ended:
    """A procedure has come to its end, and to this."""

    value: Any


Procedure = Generator[Any, Any, Any]


def begin(procedure: Procedure) -> Any:
    """What the procedure wants first, or `Ended`."""
    return _moved(partial(next, procedure))


def resume(procedure: Procedure, done: object) -> Any:
    """What it wants next, given what its effect came to."""
    return _moved(partial(procedure.send, done))


def fail(procedure: Procedure, error: Exception) -> Any:
    """What it wants next, given that its effect failed."""
    return _moved(partial(procedure.throw, error))


def mapped(flow: "Flow[T]", each: "Callable[[T], Iterable[S]]") -> "Flow[S]":
    """Yields what `each` makes of what `flow` yields."""
    wanted = begin(flow)
    while not isinstance(wanted, Ended):
        done = None
        if isinstance(wanted, Effect):
            try:
                done = yield wanted
            except PlatformError as error:
                wanted = fail(flow, error)
                continue
        else:
            yield from each(wanted)
        wanted = resume(flow, done)


def _moved(move: Callable[[], Any]) -> Any:
    try:
        return move()
    except StopIteration as end:
        return Ended(end.value)
