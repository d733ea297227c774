"""The kinds of contract: a question (`Rpc`), a streamed answer (`Stream`), something that happened (`Event`).

Each is a frozen value that names its subject and its message types, so the caller, the handler and the gateway's
HTTP table are all checked against the same declaration. The type variables are deliberately classic and invariant:
with PEP 695 syntax
a frozen dataclass becomes covariant and a type checker lets a wrong request through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

RequestT = TypeVar("RequestT", bound="Message")
ReplyT = TypeVar("ReplyT", bound="Message")
ChunkT = TypeVar("ChunkT", bound="Message | Mapping[str, object]")
FinalT = TypeVar("FinalT", bound="Message")
BodyT = TypeVar("BodyT", bound="EventBody")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be of the years 1 to 9999 in UTC") from None


def rfc3339(moment: datetime) -> str:
    """A moment as it is written everywhere."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment in UTC, written as ISO 8601 with `Z` (specs/README.md, point 13)."""


class Message(BaseModel):
    """A request or a reply. Unknown fields are refused, so a misspelt name never passes silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class EventBody(BaseModel):
    """What an event tells. Unknown fields are ignored, so that an older reader survives a newer writer."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Empty(Message):
    """A request or reply that carries nothing."""


class RefusalCode(StrEnum):
    """Why a request was turned down. Only the gateway knows which HTTP status and form each becomes."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    CONFIG_INVALID = "config_invalid"
    DATASET_INVALID = "dataset_invalid"
    TRAINING_FAILED = "training_failed"
    STORAGE_FAILED = "storage_failed"
    ENGINE_FAILED = "engine_failed"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal_error"


class RefusalBody(EventBody):
    """A refusal as it travels over the bus."""

    code: RefusalCode
    message: str
    metadata: dict[str, Any] = {}


class Refused(Exception):
    """An expected "no": coded, with a sentence for a person and details for a program.

    `metadata["errors"]` holds `[{"field", "message"}]` where single fields are to blame.
    """

    def __init__(self, code: RefusalCode, message: str, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.metadata: dict[str, Any] = dict(metadata or {})

    def body(self) -> RefusalBody:
        return RefusalBody(code=self.code, message=self.message, metadata=self.metadata)


class BrokenOff(Refused):
    """Whoever worked on the answer was lost half-way: it may have been about to come, or the question to blame."""

    def __init__(self, message: str) -> None:
        super().__init__(RefusalCode.UNAVAILABLE, message)


@dataclass(frozen=True)
class Rpc(Generic[RequestT, ReplyT]):
    """A question or a short command with one answer, over core NATS request/reply.

    `refusals` are the codes its handler may answer with; any other exception is a crash. `timeout` in seconds is the
    default deadline. Whoever asks a `long` one hears meanwhile that it is worked on, and stops the work by leaving.
    """

    subject: str
    request: type[RequestT]
    reply: type[ReplyT]
    refusals: tuple[RefusalCode, ...] = ()
    timeout: float = 10.0
    long: bool = False

    @property
    def owner(self) -> str:
        return self.subject.split(".", 1)[0]


@dataclass(frozen=True)
class Stream(Generic[RequestT, ChunkT, FinalT]):
    """A question whose answer arrives in chunks and ends with one final message.

    `start_timeout` bounds the wait for the first chunk and `timeout` the gap between two, in seconds.
    """

    subject: str
    request: type[RequestT]
    chunk: type[ChunkT]
    final: type[FinalT]
    refusals: tuple[RefusalCode, ...] = ()
    timeout: float = 120.0
    start_timeout: float = 600.0

    @property
    def owner(self) -> str:
        return self.subject.split(".", 1)[0]


@dataclass(frozen=True)
class Event(Generic[BodyT]):
    """Something that happened, kept in a JetStream stream.

    `keyed` events carry a key as the last token of their subject.
    """

    subject: str
    body: type[BodyT]
    stream: str
    keyed: bool = False

    def subject_for(self, key: str | None) -> str:
        """The subject to publish on. Raises ValueError when a key is missing, superfluous or not a single token."""
        if self.keyed != (key is not None):
            raise ValueError(f"{self.subject} {'needs' if self.keyed else 'takes no'} key")
        if key is None:
            return self.subject
        if not key or any(c in key for c in ".*> \t\r\n"):
            raise ValueError(f"not a subject token: {key!r}")
        return f"{self.subject}.{key}"

    @property
    def filter(self) -> str:
        return f"{self.subject}.*" if self.keyed else self.subject
