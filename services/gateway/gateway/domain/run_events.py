"""What runs tell, in the form in which clients are sent it, and what they ask for.

The id of a message is the place of its event in the stream, times ten, and its place within the event: whoever has
seen an id has seen all that comes before it.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from pydantic import Field

from contracts.base import Message
from contracts.prompts import Id
from contracts.run_events import (
    MOST_AT_ONCE,
    Approval,
    Completion,
    Decision,
    Failure,
    ItemFailure,
    ItemProgress,
    ItemResponse,
    Progress,
    Response,
    RunMessage,
    RunTold,
)
from contracts.workflow_runs import RunStatus

Ticket = Annotated[
    str | None,
    Field(max_length=100, description="For clients that can send no header: see `POST /api/v1/tickets`"),
]
_LAST = {"workflow_completed", "workflow_failed"}
_MOST_ENDED = 20_000


class WatchRuns(Message):
    """Messages of the caller's runs (an admin's: of all), or of the one named, after the one of the id
    `last_event_id` (0: from the first that is kept), or else from now on."""

    run_id: Id | None = None
    last_event_id: int | None = Field(default=None, ge=0, le=10**18)
    ticket: Ticket = None


class FollowRun(Message):
    run_id: Id
    ticket: Ticket = None


class RunEvent(Message):
    """A message in document C's form, with an id to go on from."""

    id: int
    type: Literal[
        "execution_progress",
        "payload_completed",
        "item_progress",
        "item_completed",
        "item_failed",
        "approval_requested",
        "approval_decided",
        "workflow_completed",
        "workflow_failed",
    ]
    data: Progress | Response | ItemProgress | ItemResponse | ItemFailure | Approval | Decision | Completion | Failure


class RunEnd(Message):
    """The last event of a run's stream. `status` is null for a run that was deleted."""

    run_id: int
    status: RunStatus | None


class IssuedTicket(Message):
    """Opens one `/ws` or one event stream as its caller, if used within `expires_in` seconds."""

    ticket: str
    expires_in: int


def new_ticket() -> str:
    return secrets.token_urlsafe(32)


def digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


@dataclass(frozen=True)
class Scope:
    """Whose runs are watched, None for everybody's, and which of them, None for all."""

    owner: str | None
    run_id: int | None


@dataclass(frozen=True)
class Sent:
    """A message as it is sent. `is_last`: nothing comes of that run any more."""

    id: int
    text: bytes
    is_last: bool


class Endings:
    """Where in the stream runs have told their last message; the last runs only.

    A worker tells how far it is until it hears that its run was cancelled or failed elsewhere: nobody is sent that.
    """

    def __init__(self, elsewhere: "Endings | None" = None) -> None:
        self._elsewhere = elsewhere
        self._ended: dict[int, int] = {}

    def of(self, run_id: int) -> int | None:
        if (found := self._ended.get(run_id)) is None and self._elsewhere is not None:
            return self._elsewhere.of(run_id)
        return found

    def is_late(self, run_id: int, sequence: int, told: RunTold) -> bool:
        """Whether the run had told its last message before this. Remembers it if this is the last."""
        if any(message.type in _LAST for message in told.messages):
            self._ended[run_id] = sequence
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            return False
        ended = self.of(run_id)
        return ended is not None and ended < sequence


def scopes(told: RunTold, run_id: int) -> tuple[Scope, ...]:
    """All under which this is watched."""
    return tuple(Scope(owner, run) for owner in (None, told.owner) for run in (None, run_id))


def sent(sequence: int, told: RunTold) -> list[Sent]:
    """The messages of the event at that place in the stream."""
    return list(_sent(sequence * MOST_AT_ONCE, told))


def place(event_id: int) -> int:
    """After which place in the stream to read on, for what comes after the message of that id."""
    return max(event_id // MOST_AT_ONCE - 1, 0)


def _sent(first: int, told: RunTold) -> Iterator[Sent]:
    for event_id, message in enumerate(told.messages, start=first):
        text = orjson.dumps({"id": event_id, "type": message.type, "data": _data(message)})
        yield Sent(event_id, text, message.type in _LAST)


def _data(message: RunMessage) -> dict[str, object]:
    data = message.data.model_dump(mode="json")
    if isinstance(message.data, Response):
        # What is not usual is said; the documented fields always are.
        data["metadata"] = message.data.metadata.model_dump(mode="json", exclude_defaults=True)
    return data
