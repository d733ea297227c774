"""Runs of workflows (document C): started, watched, steered, compared. The orchestrator answers all of it."""

from typing import Any, Literal

from pydantic import Field

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id
from contracts.router import Usd
from contracts.workflows import InputName, PayloadRef

RunStatus = Literal["running", "paused", "completed", "failed", "cancelled"]
RunInputs = dict[InputName, Any]
"""What the prompts of a run may name, besides earlier responses: texts, numbers, and lists for `for_each`."""


Trigger = Literal["api", "schedule", "webhook", "rerun", "fork"]
"""What starts a run."""


class ExecuteWorkflow(Message):
    workflow_id: Id
    inputs: RunInputs = Field(default={}, max_length=200)


class ExecutionStarted(Message):
    """The run is kept and will be worked on, whatever happens to those who asked."""

    runId: int  # noqa: N815 - document C's name
    message: str
    status: RunStatus


class RunMetadata(Message):
    """`awaiting_approval` names the payloads whose turn has come and that wait for a person."""

    workflow_name: str
    workflow_version: int
    total_payloads: int
    completed_payloads: int
    awaiting_approval: list[str]
    started_at: Timestamp
    completed_at: Timestamp | None


class WorkflowRun(Message):
    """`error` says why it failed. `parent_run_id` is the run that it repeats a part of, or was forked from.
    `trigger_id` is that of the schedule or the webhook that started it."""

    id: int
    workflow_id: int
    status: RunStatus
    started_at: Timestamp
    completed_at: Timestamp | None
    error: str | None
    parent_run_id: int | None
    trigger: Trigger
    trigger_id: int | None
    metadata: RunMetadata


class ItemCounts(Message):
    """How it stands with the items of a payload's `for_each`. What is in none of the counts has yet to start."""

    payload_id: int
    payload_name: str
    total: int
    running: int
    completed: int
    failed: int


class WorkflowRunWithInputs(WorkflowRun):
    """`items` are of payloads that are done for each item of a list, once that is known."""

    inputs: RunInputs
    items: list[ItemCounts]


class ResponseMetadata(Message):
    """`tokens_per_second` counts all tokens. A payload that was `skipped` has asked nobody.

    `port` and `engine` are those that answered, which may be the fallback's. `cost` is null when no price is known.
    One that was `kept` is the response of the parent run, and was not asked for again.
    """

    tokens: int
    promptTokens: int  # noqa: N815 - document C's name
    completionTokens: int  # noqa: N815 - document C's name
    duration_ms: int
    tokens_per_second: float
    model: str | None = None
    engine: str | None = None
    port: int | None = None
    cost: Usd | None = None
    simulated: bool = False
    skipped: bool = False
    kept: bool = False
    items: int | None = None
    """How many items of `for_each` were asked about."""


class RunResponse(Message):
    """What a payload of a run answered. `prompt` is the exact text that the instance was asked with.

    Of one that was done for each item of a list both are those of all items, up to a million characters: the run's
    items have the rest.
    """

    id: int
    run_id: int
    payload_id: int
    payload_name: str
    content: str
    prompt: str
    metadata: ResponseMetadata
    created_at: Timestamp


class ListWorkflowRuns(Message):
    """The newest of the caller's runs, for an admin of all; with `before` those older than the run of that id."""

    limit: int = Field(default=50, ge=1, le=1000)
    status: RunStatus | None = None
    workflow_id: Id | None = None
    trigger: Trigger | None = None
    trigger_id: Id | None = None
    before: Id | None = None


class WorkflowRunList(Message):
    runs: list[WorkflowRun]


class GetWorkflowRun(Message):
    run_id: Id


class ListRunResponses(Message):
    """The first responses after the one of the id `after`, in the order of their payloads."""

    run_id: Id
    after: int = Field(default=0, ge=0, le=2**63 - 1)


class RunResponsePage(Message):
    """As many as fit; `more` says that there are others."""

    responses: list[RunResponse]
    more: bool


ItemStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
"""An item that had not started when its run failed is `cancelled`, too."""


class RunItem(Message):
    """What became of the item of number `item`, from 0, of a payload's `for_each`. `text` is the item itself.

    `content`, `prompt` and `metadata` are those of its response, null until it has one; `error` says why it failed.
    """

    payload_id: int
    payload_name: str
    item: int
    text: str
    status: ItemStatus
    attempts: int
    content: str | None
    prompt: str | None
    metadata: ResponseMetadata | None
    error: str | None
    started_at: Timestamp | None
    completed_at: Timestamp | None


class ListRunItems(PageRequest):
    """Items of the payloads of a run, or of the one that `payload` (its id or name) names."""

    run_id: Id
    payload: PayloadRef | None = None
    status: ItemStatus | None = None


class RunItemPage(Page[RunItem]):
    """Items, in the order of their payloads and their lists."""


class RerunWorkflow(Message):
    """Starts a new run of what `run_id` pinned. It keeps the responses of all payloads that neither are nor follow the
    one at `from_payload` (its id or name); without one, of all payloads and items that had completed when the run ended
    badly."""

    run_id: Id
    from_payload: PayloadRef | None = None


class ForkWorkflow(RerunWorkflow):
    """As `RerunWorkflow`, with these inputs in the place of those of the same name. Without `from_payload` nothing is
    kept, since any response may have come from an input."""

    inputs: RunInputs = Field(default={}, max_length=200)


class AnswerApproval(Message):
    """Without `payload`, the first that waits."""

    run_id: Id
    payload: PayloadRef | None = None


class RejectPayload(AnswerApproval):
    reason: str = Field(default="", max_length=2000)


class RunDeleted(Message):
    message: str = "Run and associated responses deleted successfully"


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_STEERED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)
_STARTED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)

EXECUTE_WORKFLOW = Rpc("orchestrator.v1.runs.start", ExecuteWorkflow, ExecutionStarted, refusals=_STARTED)
LIST_WORKFLOW_RUNS = Rpc("orchestrator.v1.runs.list", ListWorkflowRuns, WorkflowRunList)
GET_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.get", GetWorkflowRun, WorkflowRunWithInputs, refusals=_UNKNOWN)
LIST_RUN_RESPONSES = Rpc("orchestrator.v1.runs.responses", ListRunResponses, RunResponsePage, refusals=_UNKNOWN)
LIST_RUN_ITEMS = Rpc("orchestrator.v1.runs.items", ListRunItems, RunItemPage, refusals=(*_UNKNOWN, RefusalCode.INVALID))
DELETE_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.delete", GetWorkflowRun, RunDeleted, refusals=_UNKNOWN)
CANCEL_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.cancel", GetWorkflowRun, WorkflowRun, refusals=_STEERED)
PAUSE_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.pause", GetWorkflowRun, WorkflowRun, refusals=_STEERED)
RESUME_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.resume", GetWorkflowRun, WorkflowRun, refusals=_STEERED)
APPROVE_PAYLOAD = Rpc("orchestrator.v1.runs.approve", AnswerApproval, WorkflowRun, refusals=_STEERED)
REJECT_PAYLOAD = Rpc("orchestrator.v1.runs.reject", RejectPayload, WorkflowRun, refusals=_STEERED)
RERUN_WORKFLOW = Rpc("orchestrator.v1.runs.rerun", RerunWorkflow, ExecutionStarted, refusals=_STARTED)
FORK_WORKFLOW = Rpc("orchestrator.v1.runs.fork", ForkWorkflow, ExecutionStarted, refusals=_STARTED)
