"""What runs of workflows tell while they go on: document C's four messages and ours, kept in a stream for a while.

The changes of a run's state are told exactly once and in order, from the transaction in which they happened. What is
told meanwhile of its progress may be lost. The key of an event is the id of its run.
"""

from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc
from contracts.workflow_runs import GetWorkflowRun, ResponseMetadata, RunStatus


class Pace(EventBody):
    tokens_per_second: float


class Progress(EventBody):
    """`progress` is in percent of the tokens that the payload may have."""

    runId: int  # noqa: N815 - document C's name
    payloadId: int  # noqa: N815 - document C's name
    payloadName: str  # noqa: N815 - document C's name
    status: Literal["running"] = "running"
    progress: int = Field(ge=0, le=100)
    metadata: Pace


class EventMetadata(ResponseMetadata):
    """`truncated`: the event holds only the beginning of the response, which is too long for one."""

    truncated: bool = False


class Response(EventBody):
    runId: int  # noqa: N815 - document C's name
    payloadId: int  # noqa: N815 - document C's name
    payloadName: str  # noqa: N815 - document C's name
    content: str
    metadata: EventMetadata


class ItemProgress(Progress):
    """As `Progress`, of one item of a payload's `for_each`, counted from 0."""

    item: int


class ItemResponse(Response):
    """Of `items` items, the response to one, counted from 0."""

    item: int
    items: int


class ItemFailure(EventBody):
    """An item has failed for good. The others go on; the payload fails when all have ended."""

    runId: int  # noqa: N815 - document C's name
    payloadId: int  # noqa: N815 - document C's name
    payloadName: str  # noqa: N815 - document C's name
    item: int
    items: int
    error: str


class Approval(EventBody):
    """A payload whose turn has come, and that waits for a person."""

    runId: int  # noqa: N815 - document C's name
    payloadId: int  # noqa: N815 - document C's name
    payloadName: str  # noqa: N815 - document C's name


class Decision(Approval):
    """What a person has said of it. The run fails with a payload that is rejected."""

    decision: Literal["approved", "rejected"]
    reason: str = ""


class Completion(EventBody):
    runId: int  # noqa: N815 - document C's name
    status: Literal["completed"] = "completed"


class Failure(EventBody):
    """Also of a run that was cancelled, or deleted while it went on."""

    runId: int  # noqa: N815 - document C's name
    error: str


class ExecutionProgress(EventBody):
    type: Literal["execution_progress"] = "execution_progress"
    data: Progress


class PayloadCompleted(EventBody):
    type: Literal["payload_completed"] = "payload_completed"
    data: Response


class ItemProgressed(EventBody):
    type: Literal["item_progress"] = "item_progress"
    data: ItemProgress


class ItemCompleted(EventBody):
    type: Literal["item_completed"] = "item_completed"
    data: ItemResponse


class ItemFailed(EventBody):
    type: Literal["item_failed"] = "item_failed"
    data: ItemFailure


class ApprovalRequested(EventBody):
    type: Literal["approval_requested"] = "approval_requested"
    data: Approval


class ApprovalDecided(EventBody):
    type: Literal["approval_decided"] = "approval_decided"
    data: Decision


class WorkflowCompleted(EventBody):
    type: Literal["workflow_completed"] = "workflow_completed"
    data: Completion


class WorkflowFailed(EventBody):
    type: Literal["workflow_failed"] = "workflow_failed"
    data: Failure


RunMessage = (
    ExecutionProgress
    | PayloadCompleted
    | ItemProgressed
    | ItemCompleted
    | ItemFailed
    | ApprovalRequested
    | ApprovalDecided
    | WorkflowCompleted
    | WorkflowFailed
)
"""A message in document C's form. The last two end a run: nothing comes after them. Those of items and approvals come
besides: of a payload that is done for each of a list, `execution_progress` says how many have ended."""


MOST_AT_ONCE = 10
"""Messages that one event may hold: an answer with its last progress and the end of the run, and room for more. What
happens at once and needs more tells it in several events."""


class RunTold(EventBody):
    """What happened at once, in order. `owner` is the id of who started the run, empty where there was nobody."""

    owner: str
    messages: list[Annotated[RunMessage, Field(discriminator="type")]] = Field(max_length=MOST_AT_ONCE)


RUN_TOLD = Event("runs.v1.told", RunTold, stream="RUNS", keyed=True)


class WatchedRun(Message):
    """`seconds_since_end` is null while it goes on."""

    run_id: int
    status: RunStatus
    seconds_since_end: float | None


WATCH_RUN = Rpc("orchestrator.v1.runs.watch", GetWorkflowRun, WatchedRun, refusals=(RefusalCode.NOT_FOUND,))
"""A run that the caller may watch: one of its own, for an admin any. Others' are not found."""
