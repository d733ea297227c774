"""Runs of workflows: the plan that a snapshot becomes, what a new run keeps of an earlier one, how they are shown."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import (
    ItemCounts,
    RunInputs,
    RunMetadata,
    RunStatus,
    Trigger,
    WorkflowRun,
    WorkflowRunWithInputs,
)
from contracts.workflows import PayloadRef, PayloadSnapshot, WorkflowSnapshot
from orchestrator.domain.failures import Failure, failure
from orchestrator.domain.machine import Run, Step
from orchestrator.domain.machine import RunStatus as EngineStatus
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.policy import Policy
from orchestrator.domain.storable import unstorable
from orchestrator.domain.workflows.fanout import KeptItem
from orchestrator.domain.workflows.rendering import check_inputs, graph_of

KIND = "workflow"
STEP_KIND = "Payload"
"""The kind of a workflow's steps, which the orchestrator itself works on."""


@dataclass(frozen=True)
class Done:
    """What a run has put out: by position, the responses of its payloads, and of those that it did not complete, the
    items that it did."""

    outputs: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    items: Mapping[int, list[KeptItem]] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """What starts a run: `id` is that of a schedule or a webhook."""

    trigger: Trigger = "api"
    id: int | None = None


@dataclass(frozen=True)
class NewWorkflowRun:
    """A run of `snapshot` that somebody asks for. `kept` is what it takes over from its parent, of which it does again
    what follows `from_payload`."""

    snapshot: WorkflowSnapshot
    inputs: RunInputs
    by: Started = Started()
    parent: int | None = None
    from_payload: PayloadRef | None = None
    kept: Done = Done()


@dataclass(frozen=True)
class WorkflowRunRecord:
    """A run as it is remembered. `id` is document C's, `run_id` the engine's."""

    id: int
    run_id: str
    owner: str
    workflow_id: int
    workflow_version: int
    workflow_name: str
    inputs: RunInputs
    parent: int | None
    from_payload: PayloadRef | None
    trigger: Trigger
    trigger_id: int | None
    total_payloads: int
    completed_payloads: int
    awaiting_approval: list[str]
    status: EngineStatus
    paused: bool
    error: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


def check_startable(new: NewWorkflowRun) -> None:
    """Raises `Refused(INVALID)` for a workflow with nothing to do, and for inputs that are missing or unstorable."""
    if not new.snapshot.payloads:
        raise Refused(RefusalCode.INVALID, f"The workflow {new.snapshot.name!r} has no payloads")
    check_inputs(new.snapshot, new.inputs)
    if errors := list(unstorable(new.inputs, "inputs")):
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})


def is_repeated(made: WorkflowRunRecord, new: NewWorkflowRun) -> bool:
    """Whether `made`, of the same key, is what is asked for again."""
    asked = (new.snapshot.workflow_id, new.inputs, new.by.trigger, new.parent, new.from_payload)
    return (made.workflow_id, made.inputs, made.trigger, made.parent, made.from_payload) == asked


def plan_of(new: NewWorkflowRun, policy: Policy) -> Plan:
    """One step for each payload. What is kept is there from the start."""
    shape = graph_of(new.snapshot)
    return Plan(
        steps=tuple(
            PlannedStep(
                payload.step,
                STEP_KIND,
                {"position": position, "payload_id": payload.payload_id},
                shape.needs[position],
                shape.ancestors(position),
                max_attempts=None if payload.retries is None else payload.retries + 1,
                timeout_seconds=payload.timeout,
                approval=payload.approval,
                output=new.kept.outputs.get(position),
                kept_parts=new.kept.items.get(position),
            )
            for position, payload in enumerate(new.snapshot.payloads)
        ),
        max_attempts=policy.payload_attempts,
        timeout_seconds=policy.payload_timeout,
        dataset_ids=frozenset(),
    )


def kept_in_rerun(snapshot: WorkflowSnapshot, done: Done, from_payload: PayloadRef | None) -> Done:
    """What a new run need not do again: all but the named payload and what follows it, else all that is there.

    A run that has completed is done again whole where nothing is named. Raises `Refused(INVALID)` for a payload that
    the run has not.
    """
    if from_payload is None:
        return Done() if len(done.outputs) == len(snapshot.payloads) else done
    again = _with_followers(snapshot, position_of(snapshot, from_payload))
    return Done(
        {position: output for position, output in done.outputs.items() if position not in again},
        {position: items for position, items in done.items.items() if position not in again},
    )


def _with_followers(snapshot: WorkflowSnapshot, position: int) -> Set[int]:
    shape = graph_of(snapshot)
    return {position, *(other for other in range(len(shape.names)) if position in shape.ancestors(other))}


def position_of(snapshot: WorkflowSnapshot, ref: PayloadRef) -> int:
    """Where the first payload of that id or name is. Raises `Refused(INVALID)` when there is none."""
    for position, payload in enumerate(snapshot.payloads):
        if ref in _names(payload):
            return position
    raise Refused(RefusalCode.INVALID, f"The run has no payload {ref!r}", {"payload": ref})


def _names(payload: PayloadSnapshot) -> tuple[PayloadRef, ...]:
    return payload.step, payload.name, payload.payload_id


def awaiting(run: Run, snapshot: WorkflowSnapshot, ref: PayloadRef | None) -> Step:
    """The step of the active run that a person is asked about. Raises `Refused(CONFLICT)` when there is none."""
    for position, step in run.steps.items():
        if not step.approval or step.status == "running":
            continue
        named = ref is not None and ref in _names(snapshot.payloads[position])
        if named or (ref is None and step.asked):
            return step
    raise Refused(
        RefusalCode.CONFLICT,
        "No payload of the run waits for approval"
        if ref is None
        else f"The payload {ref!r} does not wait for approval",
    )


def rejected(reason: str) -> Failure:
    return failure(RefusalCode.INVALID, f"Rejected: {reason}" if reason else "Rejected by a person", {"reason": reason})


# How it is shown


def status(record: WorkflowRunRecord) -> RunStatus:
    if record.status != "active":
        return record.status
    return "paused" if record.paused else "running"


def view(record: WorkflowRunRecord) -> WorkflowRun:
    return WorkflowRun(**_fields(record))


def view_with_inputs(record: WorkflowRunRecord, items: list[ItemCounts]) -> WorkflowRunWithInputs:
    return WorkflowRunWithInputs(**_fields(record), inputs=record.inputs, items=items)


def _fields(record: WorkflowRunRecord) -> dict[str, Any]:
    metadata = RunMetadata(
        workflow_name=record.workflow_name,
        workflow_version=record.workflow_version,
        total_payloads=record.total_payloads,
        completed_payloads=record.completed_payloads,
        awaiting_approval=record.awaiting_approval,
        started_at=record.created_at,
        completed_at=record.finished_at,
    )
    return {
        "id": record.id,
        "workflow_id": record.workflow_id,
        "status": status(record),
        "started_at": record.created_at,
        "completed_at": record.finished_at,
        "error": None if record.error is None else error_text(record.error),
        "parent_run_id": record.parent,
        "trigger": record.trigger,
        "trigger_id": record.trigger_id,
        "metadata": metadata,
    }


def error_text(error: Mapping[str, Any]) -> str:
    """Which payload failed, and why."""
    return f"{error['agent']}: {error['message']}"


def no_such_run(run_id: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "Run not found", {"run_id": run_id})


def already_ended(run_status: EngineStatus) -> Refused:
    how = "was cancelled" if run_status == "cancelled" else f"has {run_status}"
    return Refused(RefusalCode.CONFLICT, f"The run {how} already", {"status": run_status})
