"""A start of a schedule survives the death of the process that makes it, and is made once."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from common.bus import Bus
from common.context import Call, calling
from common.database import Database
from common.service import Service
from contracts.gateway import Caller
from contracts.triggers import CREATE_SCHEDULE, CreateSchedule
from contracts.workflow_runs import LIST_WORKFLOW_RUNS, ListWorkflowRuns, WorkflowRun
from orchestrator.settings import Settings

from .answering import Router
from .conftest import eventually
from .doomed import doomed_orchestrator
from .test_scheduler import CALLERS, OWNER, YEARLY, Callers
from .workflow_runs import workflow


async def test_a_process_that_is_killed_while_it_starts_a_run_leaves_it_to_another(
    settings: Settings,
    caller: Bus,
    database: Database,
    router: Router,
    replica: Callable[[], AbstractAsyncContextManager[Service]],
) -> None:
    await caller.serve(CALLERS, Callers({OWNER.id: Caller(id=OWNER.id, name=OWNER.name, role="member")}))
    async with replica():
        workflow_id = await workflow(caller, {"name": "a", "says": "Say it"})
        with calling(Call(principal=OWNER)):
            schedule = await caller.ask(CREATE_SCHEDULE, CreateSchedule(workflow_id=workflow_id, cron=YEARLY))
    due = datetime.now(UTC)
    async with database.transaction() as connection:
        # Holds whoever starts a run right before the end of its transaction.
        await connection.execute("LOCK TABLE workflow_runs IN EXCLUSIVE MODE")
        async with database.connection() as other:
            await other.execute("UPDATE schedules SET next_at = $2 WHERE id = $1", schedule.id, due)

        async def starts() -> bool | None:
            return await connection.fetchval(
                "SELECT true FROM pg_locks WHERE relation = 'workflow_runs'::regclass AND NOT granted"
            )

        async with doomed_orchestrator(settings):
            await eventually(starts, within=20)

    async with replica():

        async def started() -> list[WorkflowRun] | None:
            with calling(Call(principal=OWNER)):
                found = (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(workflow_id=workflow_id))).runs
            return found if found and found[0].status == "completed" else None

        assert len(await eventually(started, within=20)) == 1
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT last_at, next_at FROM schedules WHERE id = $1", schedule.id)
    assert row is not None
    assert (row["last_at"], row["next_at"]) == (due, schedule.next_at)
