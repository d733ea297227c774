"""Tasks for their callers: created, shown, listed, cancelled, counted (document D)."""

import secrets

from common.context import current
from common.database import Connection, UniqueViolation
from common.tracing import inject
from contracts import tasks as contract
from contracts.base import RefusalCode, Refused
from contracts.tasks import CountTasks, CreateTask, GetTask, ListTasks, Task, TaskCounts, TaskPage
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import machine
from orchestrator.domain.records import Submission
from orchestrator.domain.tasks import messages
from orchestrator.domain.tasks.analysis import Analysis, analyse
from orchestrator.domain.tasks.plans import task_plan
from orchestrator.domain.tasks.records import (
    KIND,
    NewTask,
    TaskRecord,
    already_ended,
    check_same,
    no_such_task,
    run_id_of,
    summary,
    task,
    task_id_of,
    told,
)
from orchestrator.domain.tasks.structure import Structure
from orchestrator.engine import direct
from orchestrator.engine.recording import record, settled
from orchestrator.store import personas, runs, tasks
from orchestrator.store.personas import PersonaKind


@HANDLERS.on(contract.CREATE_TASK)
async def create_task(deps: Deps, request: CreateTask) -> Task:
    """Answers the prompt, or makes a plan for it and answers at once. Under a repeated idempotency key: the first."""
    analysis = analyse(request.prompt)
    new = _new_task(request, analysis)
    async with deps.database.connection() as connection:
        if (known := await _repeated(connection, new)) is not None:
            return task(known)
        system = await _system_prompt(connection, request)
    try:
        if analysis.decision == "direct":
            entered: TaskRecord | None = await _answer(deps, new, system)
        else:
            entered = await _plan(deps, new, system, analysis.structure)
    except UniqueViolation:
        # The same key came twice at once, and the other was faster.
        async with deps.database.connection() as connection:
            entered = await _repeated(connection, new)
    assert entered is not None  # noqa: S101 - by now the key has its task
    return task(entered)


def _new_task(request: CreateTask, analysis: Analysis) -> NewTask:
    call = current()
    return NewTask(
        task_id=task_id_of(secrets.token_hex(8)),
        owner=call.owner,
        idempotency_key=call.idempotency_key,
        prompt=request.prompt,
        profile=request.profile,
        role=request.role,
        analysis=told(analysis).model_dump(mode="json"),
    )


async def _repeated(connection: Connection, new: NewTask) -> TaskRecord | None:
    """The task of the caller's idempotency key. Raises `Refused(CONFLICT)` when it is another one."""
    if new.idempotency_key is None:
        return None
    known = await tasks.find(connection, new.owner, new.idempotency_key)
    if known is not None:
        check_same(known, new)
    return known


async def _system_prompt(connection: Connection, request: CreateTask) -> str:
    """The prompts of the role and the profile. Raises `Refused(INVALID)` naming those that there are."""
    found = await personas.system_prompts(connection, profile=request.profile, role=request.role)
    wanted: dict[PersonaKind, str] = {"profile": request.profile, "role": request.role}
    errors = []
    for kind, name in wanted.items():
        if kind not in found:
            known = ", ".join(await personas.names(connection, kind))
            errors.append({"field": kind, "message": f"there is no {kind} {name!r}; there are {known}"})
    if errors:
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})
    return messages.system_prompt(found["role"], found["profile"])


async def _answer(deps: Deps, new: NewTask, system: str) -> TaskRecord:
    async with deps.database.connection() as connection:
        await tasks.insert(connection, new, lease=deps.policy.lease)
    await direct.answer(deps, new.task_id, messages.direct(system, new.prompt))
    return await _known(deps, new.task_id)


async def _plan(deps: Deps, new: NewTask, system: str, found: Structure) -> TaskRecord:
    policy = deps.policy
    plan = task_plan(found, max_attempts=policy.task_attempts, timeout_seconds=policy.task_step_timeout)
    async with deps.turnstile.through(new.owner), deps.database.transaction() as connection:
        run = await runs.insert(connection, _submission(new, system), plan, hint_pause=None)
        assert run is not None  # noqa: S101 - its id is new
        await tasks.insert(connection, new, run=run.id)
        entered = await tasks.get(connection, new.task_id)
    assert entered is not None  # noqa: S101 - it was entered above
    deps.steps_ready.set()
    return entered


def _submission(new: NewTask, system: str) -> Submission:
    """The run of a planned task. Its steps are asked on behalf of the caller, with the prompts as they are now."""
    principal = current().principal
    return Submission(
        kind=KIND,
        run_id=new.run_id,
        owner=new.owner,
        idempotency_key=None,
        definition={"profile": new.profile, "role": new.role},
        options={
            "prompt": new.prompt,
            "system": system,
            "principal": None if principal is None else principal.model_dump(mode="json", exclude_defaults=True),
        },
        traceparent=inject({}).get("traceparent"),
    )


@HANDLERS.on(contract.GET_TASK)
async def get_task(deps: Deps, request: GetTask) -> Task:
    return task(await _known(deps, request.task_id))


async def _known(deps: Deps, task_id: str) -> TaskRecord:
    """Raises `Refused(NOT_FOUND)`, also for a task that is not the caller's to see."""
    async with deps.database.connection() as connection:
        known = await tasks.get(connection, task_id)
    if known is None or not current().controls(known.owner):
        raise no_such_task(task_id)
    return known


@HANDLERS.on(contract.LIST_TASKS)
async def list_tasks(deps: Deps, request: ListTasks) -> TaskPage:
    owner = None if current().is_admin else current().owner
    async with deps.database.connection() as connection:
        known, total = await tasks.page(connection, request, owner=owner)
    return TaskPage.of([summary(one) for one in known], total, request)


@HANDLERS.on(contract.CANCEL_TASK)
async def cancel_task(deps: Deps, request: GetTask) -> Task:
    """Ends a task that has not ended. What is being made for it stops within moments."""
    await _known(deps, request.task_id)
    cancelled = await _cancel_plan(deps, request.task_id) or await _cancel_answer(deps, request.task_id)
    known = await _known(deps, request.task_id)
    if not cancelled and known.status != "Cancelled":
        raise already_ended(known)
    return task(known)


async def _cancel_plan(deps: Deps, task_id: str) -> bool:
    async with deps.database.transaction() as connection:
        run = await runs.lock(connection, KIND, run_id_of(task_id))
        if run is None or run.status != "active":
            return False
        transition = machine.cancel(run)
        await record(connection, transition, deps.policy)
    settled(deps, transition)
    return True


async def _cancel_answer(deps: Deps, task_id: str) -> bool:
    async with deps.database.connection() as connection:
        cancelled = await tasks.finish(connection, task_id, "Cancelled")
    if cancelled:
        # Another process hears of it with its next beat.
        direct.stop(deps, task_id)
    return cancelled


@HANDLERS.on(contract.COUNT_TASKS)
async def count_tasks(deps: Deps, request: CountTasks) -> TaskCounts:
    async with deps.database.connection() as connection:
        return await tasks.counts(connection, window=request.window)
