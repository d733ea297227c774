"""The worker beside the database: results that come in together are recorded together, and none at another's cost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from contracts.base import BrokenOff, RefusalCode, Refused
from orchestrator.deps import Deps
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.records import Claim, Submission
from orchestrator.engine.step_worker import StepWorker, Work
from orchestrator.store import runs

from .conftest import eventually

KIND = "Counted"
Working = Callable[[Work], AbstractAsyncContextManager[None]]


@pytest.fixture
def working(deps: Deps) -> Working:
    """A worker that does steps as told, for as long as a block lasts."""

    @asynccontextmanager
    async def work(do: Work) -> AsyncIterator[None]:
        task = asyncio.create_task(StepWorker(deps, {KIND: do}, concurrency=16).run())
        yield
        task.cancel()
        await asyncio.wait({task})

    return work


async def enter(deps: Deps, run_id: str, *needs: tuple[int, ...]) -> None:
    """A run whose step `i` needs `needs[i]`, of which no ancestor is more than one step away."""
    planned = [PlannedStep(f"s{i}", KIND, {}, before, before) for i, before in enumerate(needs)]
    plan = Plan(tuple(planned), max_attempts=1, timeout_seconds=60, dataset_ids=frozenset())
    submission = Submission(
        kind="task", run_id=run_id, owner="", idempotency_key=None, definition={}, options={}, traceparent=None
    )
    async with deps.database.connection() as connection:
        await runs.insert(connection, submission, plan, hint_pause=5)
    deps.steps_ready.set()


async def statuses(deps: Deps) -> dict[str, str]:
    async with deps.database.connection() as connection:
        return {row["run_id"]: row["status"] for row in await connection.fetch("SELECT run_id, status FROM runs")}


async def test_branches_of_one_run_that_end_together_are_all_recorded(deps: Deps, working: Working) -> None:
    together = asyncio.Barrier(5)

    async def do(_: Deps, claim: Claim) -> dict[str, Any]:
        if claim.name != "s5":
            await together.wait()
        return {"from": claim.name, "heard": [earlier["from"] for earlier in claim.inputs]}

    async with working(do):
        await enter(deps, "fan", (), (), (), (), (), (0, 1, 2, 3, 4))

        async def completed() -> bool:
            return (await statuses(deps))["fan"] == "completed"

        await eventually(completed)
    async with deps.database.connection() as connection:
        output = await connection.fetchval("SELECT output FROM steps WHERE name = 's5'")
    assert output["heard"] == ["s0", "s1", "s2", "s3", "s4"]


async def test_a_result_that_cannot_be_recorded_costs_no_other_run(deps: Deps, working: Working) -> None:
    together = asyncio.Barrier(4)

    async def do(_: Deps, claim: Claim) -> dict[str, Any]:
        await together.wait()
        return {"result": {1, 2} if claim.run_id == "bad" else 1}

    async with working(do):
        for run_id in ("a", "bad", "b", "c"):
            await enter(deps, run_id, ())

        async def the_others_completed() -> bool:
            found = await statuses(deps)
            return all(found[run_id] == "completed" for run_id in ("a", "b", "c"))

        await eventually(the_others_completed)
    assert (await statuses(deps))["bad"] == "active"


async def test_a_worker_that_is_given_a_step_again_keeps_it_whatever_becomes_of_the_first_attempt(
    deps: Deps, working: Working
) -> None:
    again, ended = asyncio.Event(), asyncio.Event()
    fences: list[int] = []

    async def do(deps: Deps, claim: Claim) -> dict[str, Any]:
        if claim.run_id == "next":
            return {}
        fences.append(claim.fence)
        if claim.fence > 1:
            again.set()
            await ended.wait()
            return {"fence": claim.fence}
        async with deps.database.connection() as connection:
            # As the reaper does with a worker that stood still.
            await connection.execute("UPDATE steps SET status = 'ready', attempt = 0, lease_until = NULL")
        while not again.is_set():
            # It does not heed that it is told to stop.
            with suppress(asyncio.CancelledError):
                await again.wait()
        ended.set()
        return {"fence": claim.fence}

    async with working(do):
        await enter(deps, "r", ())
        await asyncio.wait_for(ended.wait(), 10)
        await enter(deps, "next", ())

        async def all_completed() -> bool:
            return set((await statuses(deps)).values()) == {"completed"}

        await eventually(all_completed)
    async with deps.database.connection() as connection:
        output = await connection.fetchval("SELECT output FROM steps JOIN runs ON run = runs.id WHERE run_id = 'r'")
    assert (output, fences) == ({"fence": 2}, [1, 2])


async def test_what_is_away_or_is_lost_half_way_costs_no_attempt(deps: Deps, working: Working) -> None:
    troubles: list[Refused] = [
        Refused(RefusalCode.UNAVAILABLE, "The llm_router is not available at the moment"),
        BrokenOff("The llm_router stopped answering half-way"),
        Refused(RefusalCode.ENGINE_UNAVAILABLE, "The object store is away", {"type": "storage", "temporary": True}),
    ]

    messages, told = [None, *(trouble.message for trouble in reversed(troubles))], []

    async def do(deps: Deps, _claim: Claim) -> dict[str, Any]:
        async with deps.database.connection() as connection:
            told.append(await connection.fetchval("SELECT error ->> 'message' FROM steps"))
        if troubles:
            raise troubles.pop()
        return {}

    async with working(do):
        await enter(deps, "r", ())

        async def ended() -> bool:
            return (await statuses(deps))["r"] == "completed"

        await eventually(ended)
    assert told == messages, "a step says why it waits"
    async with deps.database.connection() as connection:
        assert tuple(await connection.fetchrow("SELECT attempt, interruptions, fence FROM steps")) == (1, 1, 4)


@pytest.mark.parametrize("settings", [{"step_interruptions": 2}], indirect=True)
async def test_a_step_that_takes_every_router_with_it_fails_in_the_end(deps: Deps, working: Working) -> None:
    asked = 0

    async def do(_: Deps, _claim: Claim) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        raise BrokenOff("The llm_router stopped answering half-way")

    async with working(do):
        await enter(deps, "r", ())

        async def failed() -> bool:
            return (await statuses(deps))["r"] == "failed"

        await eventually(failed)
    assert asked == 3


async def test_a_run_that_somebody_has_locked_holds_up_no_other(deps: Deps, working: Working) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def do(_: Deps, claim: Claim) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {}

    async def completed(*run_ids: str) -> bool:
        found = await statuses(deps)
        return all(found[run_id] == "completed" for run_id in run_ids)

    async with working(do):
        await enter(deps, "locked", ())
        await asyncio.wait_for(begun.wait(), 10)
        async with deps.database.transaction() as connection:
            # As a replica does that stands still in the middle of a change.
            await connection.execute("SELECT FROM runs WHERE run_id = 'locked' FOR UPDATE")
            go_on.set()
            await enter(deps, "free", ())
            await eventually(lambda: completed("free"))
            await enter(deps, "late", ())
            await eventually(lambda: completed("late"))
            assert not await completed("locked")
        await eventually(lambda: completed("locked"))


async def test_a_worker_that_stops_gives_back_what_it_holds(deps: Deps, working: Working) -> None:
    begun = asyncio.Event()

    async def for_ever(_: Deps, claim: Claim) -> dict[str, Any]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    async with working(for_ever):
        await enter(deps, "r", ())
        await asyncio.wait_for(begun.wait(), 10)
    async with deps.database.connection() as connection:
        row = await connection.fetchrow("SELECT status, attempt FROM steps")
    assert row is not None
    assert tuple(row) == ("ready", 0)
