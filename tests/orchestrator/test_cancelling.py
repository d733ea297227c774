"""A run may be cancelled whatever it is doing: it ends at once, asks nothing more, and never completes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.bus import Bus
from common.database import Database
from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import CANCEL_WORKFLOW_RUN, PAUSE_WORKFLOW_RUN, GetWorkflowRun
from orchestrator.settings import Settings

from .answering import Router
from .conftest import eventually
from .doomed import doomed_orchestrator
from .test_run_events import Replica
from .workflow_runs import get, start, workflow

LATER = {"name": "later", "says": "later"}


@dataclass
class Engine:
    """Answers once its gate is open, and refuses what it is told to refuse. `busy` counts what it is asked just now."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    refuses: bool = False

    async def answer(self, content: str) -> str:
        if self.refuses:
            raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "Busy")
        self.busy += 1
        try:
            await self.gate.wait()
        finally:
            self.busy -= 1
        return content


@dataclass(frozen=True)
class Scene:
    bus: Bus
    engine: Engine

    async def until_busy(self, number: int) -> None:
        async def asked() -> bool:
            return self.engine.busy == number

        await eventually(asked)

    async def started(self, *payloads: dict[str, Any], **inputs: Any) -> int:
        return await start(self.bus, await workflow(self.bus, *payloads, LATER), **inputs)


async def queued(scene: Scene) -> int:
    """Another run has all the room that there is."""
    other = await workflow(scene.bus, {"name": "first", "says": "{item}", "for_each": "x"})
    await start(scene.bus, other, x=["1", "2"])
    await scene.until_busy(2)
    return await scene.started({"name": "a", "says": "a"})


async def being_answered(scene: Scene) -> int:
    run_id = await scene.started({"name": "a", "says": "a"})
    await scene.until_busy(1)
    return run_id


async def waiting_for_approval(scene: Scene) -> int:
    run_id = await scene.started({"name": "a", "says": "a", "approval": True})

    async def asked() -> bool:
        return (await get(scene.bus, run_id)).metadata.awaiting_approval == ["a"]

    await eventually(asked)
    return run_id


async def paused(scene: Scene) -> int:
    run_id = await being_answered(scene)
    await scene.bus.ask(PAUSE_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))
    return run_id


async def between_attempts(scene: Scene) -> int:
    scene.engine.refuses = True
    run_id = await scene.started({"name": "each", "says": "{item}", "for_each": "x"}, x=["1"])

    async def failed_once() -> bool:
        items = (await get(scene.bus, run_id)).items
        return bool(items) and items[0].running == 0

    await eventually(failed_once)
    return run_id


async def within_a_list(scene: Scene) -> int:
    each = {"name": "each", "says": "{item}", "for_each": "x", "items_at_once": 2}
    run_id = await scene.started(each, x=list("abcdef"))
    await scene.until_busy(2)
    return run_id


@pytest.mark.parametrize(
    "settings", [{"task_concurrency": 2, "retry_base_seconds": 120, "retry_cap_seconds": 240}], indirect=True
)
@pytest.mark.parametrize(
    "state", [queued, being_answered, waiting_for_approval, paused, between_attempts, within_a_list]
)
@pytest.mark.usefixtures("service")
async def test_a_run_is_cancelled_while_it_is(
    state: Callable[[Scene], Awaitable[int]], caller: Bus, router: Router, database: Database
) -> None:
    engine = Engine()
    router.answer = engine.answer
    run_id = await state(Scene(caller, engine))
    asked = len(router.asked)
    cancelled = await caller.ask(CANCEL_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))
    assert (cancelled.status, cancelled.completed_at is None) == ("cancelled", False)
    await eventually(lambda: _over(database, run_id))
    # Whatever could still come may come now.
    engine.refuses = False
    engine.gate.set()
    await eventually(lambda: _none_active(database))
    run = await get(caller, run_id)
    assert (run.status, run.metadata.completed_payloads, router.contents[asked:]) == ("cancelled", 0, [])
    assert await _of_steps(database, run_id) == {"cancelled"}


async def test_a_run_whose_orchestrator_is_dead_is_cancelled_by_any_other(
    settings: Settings, caller: Bus, router: Router, database: Database, replica: Replica
) -> None:
    engine = Engine()
    router.answer = engine.answer
    async with doomed_orchestrator(settings):
        run_id = await eventually(lambda: _once_there(Scene(caller, engine)), within=20)
    async with replica():
        assert (await caller.ask(CANCEL_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))).status == "cancelled"
        await eventually(lambda: _over(database, run_id))
        engine.gate.set()
        assert (await get(caller, run_id)).status == "cancelled"


async def _once_there(scene: Scene) -> int | None:
    try:
        return await being_answered(scene)
    except Refused:
        return None


async def _over(database: Database, run_id: int) -> bool:
    return not await _of_steps(database, run_id) & {"waiting", "ready", "paused", "running"}


async def _of_steps(database: Database, run_id: int) -> set[str]:
    sql = "SELECT DISTINCT status FROM steps JOIN workflow_runs USING (run) WHERE workflow_runs.id = $1"
    async with database.connection() as connection:
        return {row["status"] for row in await connection.fetch(sql, run_id)}


async def _none_active(database: Database) -> bool:
    async with database.connection() as connection:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM runs WHERE status = 'active')")
