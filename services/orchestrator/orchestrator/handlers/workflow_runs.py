"""Runs of workflows for their callers: started, shown, steered, repeated, deleted (document C)."""

from collections.abc import Callable

from common import outbox
from common.context import current
from common.database import Connection, ForeignKeyViolation
from contracts import workflow_runs as contract
from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import (
    AnswerApproval,
    ExecuteWorkflow,
    ExecutionStarted,
    ForkWorkflow,
    GetWorkflowRun,
    ListRunItems,
    ListRunResponses,
    ListWorkflowRuns,
    RejectPayload,
    RerunWorkflow,
    RunDeleted,
    RunItemPage,
    RunResponsePage,
    WorkflowRun,
    WorkflowRunList,
    WorkflowRunWithInputs,
)
from contracts.workflows import WorkflowSnapshot
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import machine
from orchestrator.domain.machine import Ended, Run, Transition
from orchestrator.domain.pages import MOST, fitting
from orchestrator.domain.workflows import runs as workflow_run
from orchestrator.domain.workflows.runs import KIND, Done, NewWorkflowRun, Started, WorkflowRunRecord, no_such_run
from orchestrator.domain.workflows.snapshots import snapshot
from orchestrator.engine import announcements
from orchestrator.engine.entering import enter, entered
from orchestrator.engine.recording import record, settled
from orchestrator.store import run_items, runs, workflow_runs, workflows

_STARTED = "Workflow execution started"
_RERUN = "Workflow rerun started"
_FORKED = "Workflow fork started"


@HANDLERS.on(contract.EXECUTE_WORKFLOW)
async def execute_workflow(deps: Deps, request: ExecuteWorkflow) -> ExecutionStarted:
    """Enters a run of the workflow as it is now. Under a repeated idempotency key: the first."""
    return await execute(deps, request, Started())


async def execute(deps: Deps, request: ExecuteWorkflow, by: Started) -> ExecutionStarted:
    async with deps.database.connection() as connection:
        found = await workflows.current(connection, request.workflow_id)
    if found is None:
        raise Refused(RefusalCode.NOT_FOUND, "Workflow not found", {"workflow_id": request.workflow_id})
    return await _start(deps, NewWorkflowRun(snapshot(found), request.inputs, by), _STARTED)


@HANDLERS.on(contract.RERUN_WORKFLOW)
async def rerun_workflow(deps: Deps, request: RerunWorkflow) -> ExecutionStarted:
    """Repeats a run that has ended, from where it failed or from the named payload on."""
    async with deps.database.connection() as connection:
        parent = await _known(connection, request.run_id)
        if parent.status == "active":
            raise Refused(RefusalCode.CONFLICT, "The run is still going on: cancel it, or wait for its end")
        pinned = await _pinned(connection, parent.id)
        done = await workflow_runs.done(connection, parent.id)
    kept = workflow_run.kept_in_rerun(pinned, done, request.from_payload)
    new = NewWorkflowRun(pinned, parent.inputs, Started("rerun"), parent.id, request.from_payload, kept)
    return await _start(deps, new, _RERUN)


@HANDLERS.on(contract.FORK_WORKFLOW)
async def fork_workflow(deps: Deps, request: ForkWorkflow) -> ExecutionStarted:
    """Starts a run of what another pinned, with other inputs."""
    async with deps.database.connection() as connection:
        parent = await _known(connection, request.run_id)
        pinned = await _pinned(connection, parent.id)
        done = Done() if request.from_payload is None else await workflow_runs.done(connection, parent.id)
    kept = workflow_run.kept_in_rerun(pinned, done, request.from_payload)
    inputs = {**parent.inputs, **request.inputs}
    new = NewWorkflowRun(pinned, inputs, Started("fork"), parent.id, request.from_payload, kept)
    return await _start(deps, new, _FORKED)


async def _start(deps: Deps, new: NewWorkflowRun, message: str) -> ExecutionStarted:
    """Raises `Refused`: CONFLICT when the key of the call was used for another run, NOT_FOUND when the parent was
    deleted meanwhile."""
    workflow_run.check_startable(new)
    try:
        async with deps.turnstile.through(current().owner), deps.database.transaction() as connection:
            made = await enter(deps, connection, new)
    except ForeignKeyViolation:
        if new.parent is None:
            raise
        raise no_such_run(new.parent) from None
    if isinstance(made, int):
        entered(deps, new)
        return ExecutionStarted(runId=made, message=message, status="running")
    if not workflow_run.is_repeated(made, new):
        raise Refused(RefusalCode.CONFLICT, "The idempotency key was used for another run", {"run_id": made.id})
    return ExecutionStarted(runId=made.id, message=message, status=workflow_run.status(made))


@HANDLERS.on(contract.LIST_WORKFLOW_RUNS)
async def list_workflow_runs(deps: Deps, request: ListWorkflowRuns) -> WorkflowRunList:
    async with deps.database.connection() as connection:
        owner = None if current().is_admin else current().owner
        found = await workflow_runs.newest(connection, request, owner=owner)
    return WorkflowRunList(runs=[workflow_run.view(one) for one in found])


@HANDLERS.on(contract.GET_WORKFLOW_RUN)
async def get_workflow_run(deps: Deps, request: GetWorkflowRun) -> WorkflowRunWithInputs:
    async with deps.database.connection() as connection:
        known = await _known(connection, request.run_id)
        return workflow_run.view_with_inputs(known, await run_items.counts(connection, known.id))


@HANDLERS.on(contract.LIST_RUN_RESPONSES)
async def list_run_responses(deps: Deps, request: ListRunResponses) -> RunResponsePage:
    async with deps.database.connection() as connection:
        await _known(connection, request.run_id)
        found = await workflow_runs.responses(connection, request.run_id, after=request.after, limit=MOST + 1)
    fits = fitting(found[:MOST])
    return RunResponsePage(responses=fits, more=len(fits) < len(found))


@HANDLERS.on(contract.LIST_RUN_ITEMS)
async def list_run_items(deps: Deps, request: ListRunItems) -> RunItemPage:
    async with deps.database.connection() as connection:
        await _known(connection, request.run_id)
        position = None
        if request.payload is not None:
            pinned = await _pinned(connection, request.run_id)
            position = workflow_run.position_of(pinned, request.payload)
        found, total = await run_items.page(connection, request, position=position)
    return RunItemPage.of(fitting(found), total, request)


async def _known(connection: Connection, run_id: int) -> WorkflowRunRecord:
    """Raises `Refused(NOT_FOUND)`, also for a run that is not the caller's to see."""
    known = await workflow_runs.get(connection, run_id)
    if known is None or not current().controls(known.owner):
        raise no_such_run(run_id)
    return known


@HANDLERS.on(contract.CANCEL_WORKFLOW_RUN)
async def cancel_workflow_run(deps: Deps, request: GetWorkflowRun) -> WorkflowRun:
    """Ends an active run as cancelled. What is being asked for it stops within moments."""
    return await _steer(deps, request.run_id, machine.cancel, again="cancelled")


@HANDLERS.on(contract.PAUSE_WORKFLOW_RUN)
async def pause_workflow_run(deps: Deps, request: GetWorkflowRun) -> WorkflowRun:
    return await _steer(deps, request.run_id, lambda run: None if run.paused else machine.pause(run))


@HANDLERS.on(contract.RESUME_WORKFLOW_RUN)
async def resume_workflow_run(deps: Deps, request: GetWorkflowRun) -> WorkflowRun:
    return await _steer(deps, request.run_id, lambda run: machine.resume(run) if run.paused else None)


@HANDLERS.on(contract.APPROVE_PAYLOAD)
async def approve_payload(deps: Deps, request: AnswerApproval) -> WorkflowRun:
    pinned = await _known_and_pinned(deps, request.run_id)
    return await _steer(
        deps,
        request.run_id,
        lambda run: machine.approve(run, workflow_run.awaiting(run, pinned, request.payload)),
    )


@HANDLERS.on(contract.REJECT_PAYLOAD)
async def reject_payload(deps: Deps, request: RejectPayload) -> WorkflowRun:
    """The run fails with the payload that a person does not let go ahead."""
    pinned, why = await _known_and_pinned(deps, request.run_id), workflow_run.rejected(request.reason)
    return await _steer(
        deps,
        request.run_id,
        lambda run: machine.reject(run, workflow_run.awaiting(run, pinned, request.payload), why),
    )


async def _known_and_pinned(deps: Deps, run_id: int) -> WorkflowSnapshot:
    async with deps.database.connection() as connection:
        await _known(connection, run_id)
        return await _pinned(connection, run_id)


async def _pinned(connection: Connection, run_id: int) -> WorkflowSnapshot:
    """Raises `Refused(NOT_FOUND)` for a run that was deleted since it was looked up."""
    if (pinned := await workflow_runs.pinned(connection, run_id)) is None:
        raise no_such_run(run_id)
    return pinned


async def _steer(
    deps: Deps, run_id: int, decide: Callable[[Run], Transition | None], *, again: Ended | None = None
) -> WorkflowRun:
    """The run after what `decide` makes of it, which is None where nothing changes.

    Raises `Refused(CONFLICT)` for a run that has ended, unless it did so in the state that is asked for `again`.
    """
    async with deps.database.transaction() as connection:
        known = await _known(connection, run_id)
        run = await runs.lock(connection, KIND, known.run_id)
        if run is None:
            raise no_such_run(run_id)
        if run.status not in {"active", again}:
            raise workflow_run.already_ended(run.status)
        transition = decide(run) if run.status == "active" else None
        if transition is not None:
            await record(connection, transition, deps.policy)
        changed = await _known(connection, run_id)
    if transition is not None:
        settled(deps, transition)
    return workflow_run.view(changed)


@HANDLERS.on(contract.DELETE_WORKFLOW_RUN)
async def delete_workflow_run(deps: Deps, request: GetWorkflowRun) -> RunDeleted:
    """Removes a run and its responses. The workers of one that goes on lose their steps, and stop."""
    async with deps.database.transaction() as connection:
        known = await _known(connection, request.run_id)
        if (run := await runs.lock(connection, KIND, known.run_id)) is None:
            raise no_such_run(request.run_id)
        await workflow_runs.delete(connection, run.id)
        if run.status == "active":
            await outbox.add_many(connection, announcements.of_deletion(run))
    deps.relay.kick()
    return RunDeleted()
