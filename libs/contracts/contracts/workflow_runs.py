"""Runs of workflows (document C): started, looked at, stopped and removed. The orchestrator answers all of it."""

from typing import Any, Literal

from pydantic import Field

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.prompts import Id
from contracts.workflows import InputName

WorkflowRunStatus = Literal["running", "paused", "waiting", "completed", "failed", "cancelled"]
"""`waiting` for a person's approval; the last three never change again."""


class ExecuteWorkflow(Message):
    """Starts a run of the workflow as it is now. `inputs` are texts, or lists for `for_each`, by name."""

    workflow_id: Id
    inputs: dict[InputName, Any] = Field(default={}, max_length=200)


class WorkflowStarted(Message):
    run_id: int
    status: WorkflowRunStatus


class ResponseNumbers(Message):
    """`tokens` are those of prompt and completion together; `cost` in USD is null when no price is known."""

    tokens: int
    prompt_tokens: int
    completion_tokens: int
    duration_ms: int
    tokens_per_second: float
    cost: str | None = None


class PayloadResponse(Message):
    """What a payload of a run was answered. `prompt` is the text that the model was given."""

    id: int
    run_id: int
    payload_id: int
    payload_name: str
    prompt: str
    content: str
    numbers: ResponseNumbers
    created_at: Timestamp


class WorkflowRun(Message):
    """A run. `responses` are in the order in which they came; a list of runs leaves them out."""

    id: int
    workflow_id: int
    workflow_name: str
    workflow_version: int
    status: WorkflowRunStatus
    error: str | None = None
    inputs: dict[str, Any] = {}
    total_payloads: int
    started_at: Timestamp
    completed_at: Timestamp | None
    responses: list[PayloadResponse] | None = None


class GetWorkflowRun(Message):
    run_id: Id


class ListWorkflowRuns(Message):
    """The newest runs, before the run `before` if given."""

    limit: int = Field(default=50, ge=1, le=1000)
    status: WorkflowRunStatus | None = None
    workflow_id: Id | None = None
    before: Id | None = None


class WorkflowRunList(Message):
    """Newest first; as many of those asked for as fit."""

    runs: list[WorkflowRun]
    more: bool


class WorkflowRunDeleted(Message):
    run_id: int


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_CONTROLLED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)

EXECUTE_WORKFLOW = Rpc(
    "orchestrator.v1.runs.start",
    ExecuteWorkflow,
    WorkflowStarted,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT),
)
GET_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.get", GetWorkflowRun, WorkflowRun, refusals=_UNKNOWN)
LIST_WORKFLOW_RUNS = Rpc("orchestrator.v1.runs.list", ListWorkflowRuns, WorkflowRunList)
DELETE_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.delete", GetWorkflowRun, WorkflowRunDeleted, refusals=_CONTROLLED)
CANCEL_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.cancel", GetWorkflowRun, WorkflowRun, refusals=_CONTROLLED)
PAUSE_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.pause", GetWorkflowRun, WorkflowRun, refusals=_CONTROLLED)
RESUME_WORKFLOW_RUN = Rpc("orchestrator.v1.runs.resume", GetWorkflowRun, WorkflowRun, refusals=_CONTROLLED)
