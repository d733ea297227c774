"""Schedules start each run once, whoever looks and whoever dies meanwhile, in the name of their owner."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from common.bus import Bus, Handlers
from common.context import Call, Principal, calling
from common.database import Database
from contracts.base import RefusalCode, Refused
from contracts.gateway import GET_CALLER, Budget, Caller, GetCaller
from contracts.triggers import (
    CREATE_SCHEDULE,
    DELETE_SCHEDULE,
    GET_SCHEDULE,
    LIST_SCHEDULES,
    UPDATE_SCHEDULE,
    CreateSchedule,
    GetSchedule,
    ListSchedules,
    Schedule,
    UpdateSchedule,
)
from contracts.workflow_runs import (
    LIST_WORKFLOW_RUNS,
    ListWorkflowRuns,
    WorkflowRun,
)
from contracts.workflows import DELETE_WORKFLOW, GetWorkflow
from orchestrator.deps import Deps
from orchestrator.engine.scheduler import Scheduler

from .answering import Router
from .conftest import eventually
from .workflow_runs import ended, refusal, workflow

pytestmark = pytest.mark.usefixtures("service")

# Due once a year: no service that runs meanwhile starts any of them by its own clock.
YEARLY = "0 0 1 1 *"
OWNER = Principal(id="someone", name="Someone", role="member")


@dataclass
class Callers:
    """Whom the gateway knows."""

    known: dict[str, Caller] = field(default_factory=dict)


CALLERS = Handlers[Callers]()


@CALLERS.on(GET_CALLER)
async def get_caller(callers: Callers, request: GetCaller) -> Caller:
    if request.caller_id not in callers.known:
        raise Refused(RefusalCode.NOT_FOUND, "There is no such caller")
    return callers.known[request.caller_id]


@pytest.fixture(autouse=True)
async def callers(caller: Bus) -> AsyncIterator[Callers]:
    known = Callers({OWNER.id: Caller(id=OWNER.id, name="Someone", role="member", budget=Budget(tokens=5))})
    await caller.serve(CALLERS, known)
    yield known


async def scheduled(bus: Bus, says: str = "Say it", **options: Any) -> Schedule:
    """A schedule of a new workflow, made by its owner."""
    workflow_id = await workflow(bus, {"name": "a", "says": says})
    with calling(Call(principal=OWNER)):
        return await bus.ask(CREATE_SCHEDULE, CreateSchedule(workflow_id=workflow_id, cron=YEARLY, **options))


async def shown(bus: Bus, schedule: Schedule) -> Schedule:
    asked = GetSchedule(workflow_id=schedule.workflow_id, schedule_id=schedule.id)
    return await bus.ask(GET_SCHEDULE, asked)


async def runs_of(bus: Bus, schedule: Schedule) -> list[WorkflowRun]:
    asked = ListWorkflowRuns(workflow_id=schedule.workflow_id, trigger="schedule", trigger_id=schedule.id)
    with calling(Call(principal=OWNER)):
        return (await bus.ask(LIST_WORKFLOW_RUNS, asked)).runs


def at(deps: Deps, schedule: Schedule, *, later: timedelta = timedelta()) -> Scheduler:
    """One by whose clock the schedule has just become due."""
    assert schedule.next_at is not None
    now = schedule.next_at + later
    return Scheduler(deps, interval=1, now=lambda: now)


async def test_a_run_starts_when_it_is_due_in_the_name_of_the_owner_as_that_is_now(
    caller: Bus, deps: Deps, router: Router
) -> None:
    schedule = await scheduled(caller, "About {topic}", inputs={"topic": "rivers"})
    assert schedule.owner == OWNER.id
    assert await at(deps, schedule, later=-timedelta(seconds=1)).start_due() == 0
    assert await at(deps, schedule).start_due() == 1
    (started,) = await runs_of(caller, schedule)
    run = await ended(caller, started.id)
    assert (run.status, run.inputs) == ("completed", {"topic": "rivers"})
    _, call = router.asked[0]
    assert call.principal is not None
    assert (call.principal.id, call.principal.budget) == (OWNER.id, Budget(tokens=5))
    after = await shown(caller, schedule)
    assert (after.last_at, after.last_run, after.error) == (schedule.next_at, run.id, None)
    assert after.next_at is not None
    assert after.next_at.year == schedule.next_at.year + 1


async def test_replicas_that_look_at_once_start_one_run(
    caller: Bus, deps: Deps, access_of: Any, database: Database
) -> None:
    schedules = [await scheduled(caller) for _ in range(3)]
    replicas = [at(deps, schedules[0]) for _ in range(6)]
    assert sum(await asyncio.gather(*(replica.start_due() for replica in replicas))) == 3
    assert [len(await runs_of(caller, schedule)) for schedule in schedules] == [1, 1, 1]


async def test_what_dies_before_its_commit_has_started_nothing_and_another_starts_it_once(
    caller: Bus, deps: Deps, database: Database
) -> None:
    schedule = await scheduled(caller)
    async with database.transaction() as connection:
        # Holds whoever starts a run right before the end of its transaction.
        await connection.execute("LOCK TABLE workflow_runs IN EXCLUSIVE MODE")
        starting = asyncio.create_task(at(deps, schedule).start_due())

        async def killed() -> bool | None:
            # What Postgres sees of a process that is killed.
            return await connection.fetchval(
                "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks"
                " WHERE relation = 'workflow_runs'::regclass AND NOT granted"
            )

        await eventually(killed)
    with pytest.raises(Refused):
        await starting
    assert await runs_of(caller, schedule) == []
    assert (await shown(caller, schedule)).next_at == schedule.next_at
    assert [await at(deps, schedule).start_due() for _ in range(2)] == [1, 0]
    assert len(await runs_of(caller, schedule)) == 1


async def test_after_a_long_silence_one_start_is_made_up_for(caller: Bus, deps: Deps) -> None:
    schedule = await scheduled(caller)
    late = at(deps, schedule, later=timedelta(days=5 * 366))
    assert [await late.start_due(), await late.start_due()] == [1, 0]


async def test_a_start_waits_for_the_run_before_or_is_left_out(caller: Bus, deps: Deps, router: Router) -> None:
    gate = asyncio.Event()

    async def after_the_gate(content: str) -> str:
        await gate.wait()
        return content

    router.answer = after_the_gate
    queued, skipped = await scheduled(caller, overlap="queue"), await scheduled(caller, overlap="skip")
    assert await at(deps, queued).start_due() == 2
    second = [await shown(caller, queued), await shown(caller, skipped)]
    assert await at(deps, second[0]).start_due() == 0
    gate.set()
    for schedule in second:
        assert schedule.last_run is not None
        await ended(caller, schedule.last_run)
    assert await at(deps, second[0]).start_due() == 1
    assert [len(await runs_of(caller, schedule)) for schedule in (queued, skipped)] == [2, 1]
    assert (await shown(caller, queued)).last_at == second[0].next_at


async def test_who_may_not_call_any_more_starts_nothing(caller: Bus, deps: Deps, callers: Callers) -> None:
    schedule = await scheduled(caller)
    callers.known.clear()
    assert await at(deps, schedule).start_due() == 0
    after = await shown(caller, schedule)
    assert (after.enabled, after.next_at, after.error) == (False, None, "Its owner may not start runs any more")


async def test_a_start_that_cannot_be_made_says_why_and_the_next_one_is_tried(caller: Bus, deps: Deps) -> None:
    workflow_id = await workflow(caller, {"name": "a", "says": "About {topic}"}, inputs={"topic": None})
    with calling(Call(principal=OWNER)):
        schedule = await caller.ask(CREATE_SCHEDULE, CreateSchedule(workflow_id=workflow_id, cron=YEARLY))
    assert await at(deps, schedule).start_due() == 0
    after = await shown(caller, schedule)
    assert (after.last_run, after.error) == (None, "The workflow needs more inputs: inputs.topic: field required")
    with calling(Call(principal=OWNER)):
        await caller.ask(
            UPDATE_SCHEDULE,
            UpdateSchedule(workflow_id=workflow_id, schedule_id=schedule.id, inputs={"topic": "rivers"}),
        )
    assert await at(deps, after).start_due() == 1
    await caller.ask(DELETE_WORKFLOW, GetWorkflow(workflow_id=workflow_id))
    assert await at(deps, await shown(caller, schedule)).start_due() == 0


async def test_its_owner_and_admins_change_a_schedule_and_nobody_else(caller: Bus) -> None:
    schedule = await scheduled(caller)
    asked = UpdateSchedule(workflow_id=schedule.workflow_id, schedule_id=schedule.id, enabled=False)
    with calling(Call(principal=Principal(id="other", name="Other", role="member"))):
        assert await refusal(caller.ask(UPDATE_SCHEDULE, asked)) is RefusalCode.FORBIDDEN
    with calling(Call(principal=OWNER)):
        off = await caller.ask(UPDATE_SCHEDULE, asked)
        on = await caller.ask(UPDATE_SCHEDULE, asked.model_copy(update={"enabled": True}))
    assert (off.enabled, off.next_at, off.cron) == (False, None, YEARLY)
    assert on.next_at == schedule.next_at
    with calling(Call(principal=Principal(id="boss", name="Boss", role="admin"))):
        moved = await caller.ask(UPDATE_SCHEDULE, asked.model_copy(update={"time_zone": "Asia/Tokyo", "enabled": True}))
        assert moved.owner == OWNER.id
        await caller.ask(DELETE_SCHEDULE, GetSchedule(workflow_id=schedule.workflow_id, schedule_id=schedule.id))
    page = await caller.ask(LIST_SCHEDULES, ListSchedules(workflow_id=schedule.workflow_id))
    assert (page.items, page.total) == ([], 0)
