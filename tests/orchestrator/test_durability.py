"""What the database promises whatever happens around it: crowds, replicas, crashes."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from common.bus import Bus
from common.database import Connection, Database
from common.service import Service
from contracts.base import Refused
from contracts.orchestrator import (
    GET_JOB,
    BeatSteps,
    ClaimedStep,
    ClaimStep,
    FinishStep,
    GetJob,
    HeldStep,
    StepFailed,
    StepReleased,
    StepSucceeded,
    SubmitJob,
)
from orchestrator.deps import Deps
from orchestrator.domain.outcomes import Result
from orchestrator.engine.reaper import Reaper
from orchestrator.handlers.job_steering import cancel_job
from orchestrator.handlers.jobs import submit_job
from orchestrator.handlers.steps import beat_steps, claim_step, finish_step
from orchestrator.store import runs, steps

from .conftest import Jobs, Worker, definition, eventually, output

JOBS = 25
WORKERS = 8


async def test_what_has_ended_is_guarded_by_the_database_itself(deps: Deps, database: Database) -> None:
    accepted = await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))
    await cancel_job(deps, GetJob(job_id=accepted.job_id))
    async with database.connection() as connection:
        for sql in (
            "UPDATE runs SET status = 'completed'",
            "UPDATE runs SET status = 'active', finished_at = NULL",
            "UPDATE steps SET status = 'ready'",
            "UPDATE runs SET definition = '{}'",
        ):
            with pytest.raises(Exception, match=r"it has ended|its definition never changes"):
                await connection.execute(sql)


async def test_a_submission_that_breaks_off_leaves_nothing(deps: Deps, database: Database) -> None:
    with pytest.raises(RuntimeError, match="crash"):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO outbox (subject, message_id, payload) VALUES ('a', 'b', 'c')")
            raise RuntimeError("crash")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def claimed(deps: Deps) -> ClaimedStep | None:
    return (await claim_step(deps, ClaimStep(worker_id="w", agent_classes=["DatasetAgent"]))).step


async def test_while_a_run_is_changed_none_of_its_steps_can_be_claimed(deps: Deps, database: Database) -> None:
    accepted = await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))
    async with database.transaction() as connection:
        await runs.lock(connection, "job", accepted.run_id)
        assert await claimed(deps) is None
    assert await claimed(deps)


async def test_a_worker_that_comes_back_just_in_time_keeps_its_step(deps: Deps, database: Database) -> None:
    await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))
    step = await claimed(deps)
    assert step
    async with database.connection() as connection:
        await connection.execute("UPDATE steps SET lease_until = clock_timestamp()")
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        reaping = asyncio.create_task(Reaper(deps, interval=1).expire_leases())
        await asyncio.sleep(0.1)
        assert not reaping.done(), "the reaper should have found the step, and be waiting for its run"
        assert await steps.beat(connection, {step.step_id: step.fence}, lease=10) == {step.step_id: "held"}
    assert await reaping == 0


async def test_a_worker_keeps_its_step_though_no_orchestrator_was_there_to_hear_it(
    database: Database, jobs: Jobs, worker: Worker, replica: Callable[[], AbstractAsyncContextManager[Service]]
) -> None:
    async with replica():
        await jobs.submit(["a"])
        step = await worker.take()

    async def the_lease_has_ended() -> bool | None:
        async with database.connection() as connection:
            return await connection.fetchval("SELECT bool_and(lease_until < clock_timestamp()) FROM steps")

    await eventually(the_lease_has_ended)
    async with replica():
        assert await worker.beat(step) == ["held"]
        assert await worker.succeed(step)


async def test_a_step_whose_worker_died_in_time_is_tried_again_though_nobody_looked_before_its_deadline(
    deps: Deps, database: Database
) -> None:
    await submit_job(deps, SubmitJob(pipeline_config=definition(["a"], max_retries=0)))
    first = await claimed(deps)
    assert first
    async with database.connection() as connection:
        # As all orchestrators were away for longer than an attempt may take, which may be just as long as a lease.
        await connection.execute("UPDATE steps SET lease_until = now(), deadline = now()")
    assert await eventually(Reaper(deps, interval=60).expire_leases) == 1
    again = await eventually(lambda: claimed(deps))
    assert (again.fence, again.attempt) == (2, 1)


async def test_a_run_that_somebody_has_locked_holds_up_neither_the_beats_nor_the_reaping_of_others(
    deps: Deps, database: Database
) -> None:
    held = []
    for _ in range(2):
        await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))
        step = (await claim_step(deps, ClaimStep(worker_id="w", agent_classes=["DatasetAgent"]))).step
        assert step is not None
        held.append(HeldStep(step_id=step.step_id, fence=step.fence))
    reaper = Reaper(deps, interval=60)
    async with database.transaction() as connection:
        # As a replica does that stands still in the middle of a change.
        await connection.execute(
            "SELECT FROM runs JOIN steps ON run = runs.id WHERE steps.id = $1 FOR UPDATE", held[0].step_id
        )
        verdicts = (await beat_steps(deps, BeatSteps(worker_id="w", steps=held))).verdicts
        assert [verdict.verdict for verdict in verdicts] == ["held", "held"]
        assert await eventually(reaper.expire_leases) == 1
    assert await eventually(reaper.expire_leases) == 1


async def test_a_worker_that_could_not_be_heard_keeps_its_step(deps: Deps, database: Database) -> None:
    await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))
    claimed = (await claim_step(deps, ClaimStep(worker_id="w", agent_classes=["DatasetAgent"]))).step
    assert claimed is not None
    reaper = Reaper(deps, interval=60)
    async with database.transaction() as connection:
        # Stands for a database that is away: nobody can beat, and whoever looks after the silent waits.
        await connection.execute("LOCK TABLE steps IN ACCESS EXCLUSIVE MODE")
        reaping = asyncio.create_task(reaper.expire_leases())

        async def the_lease_has_ended_and_the_reaper_waits() -> bool | None:
            return await connection.fetchval(
                "SELECT bool_and(lease_until < clock_timestamp()) AND EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
                " FROM steps"
            )

        await eventually(the_lease_has_ended_and_the_reaper_waits)
    assert await reaping == 0
    held = BeatSteps(worker_id="w", steps=[HeldStep(step_id=claimed.step_id, fence=claimed.fence)])
    assert [verdict.verdict for verdict in (await beat_steps(deps, held)).verdicts] == ["held"]
    # From now on it could be heard.
    assert await eventually(reaper.expire_leases) == 1


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_crowd_of_workers_that_fail_and_vanish_keeps_every_promise(
    deps: Deps, database: Database, seed: int
) -> None:
    """Random graphs, random misfortune, everything at once. Also shows that no two transactions wait for each other."""
    chance = random.Random(seed)
    for number in range(JOBS):
        names = [f"s{i}" for i in range(chance.randint(1, 6))]
        edges = [(before, after) for i, after in enumerate(names) for before in names[:i] if chance.random() < 0.4]
        config = definition(names, edges, run_id=f"crowd-{seed}-{number}", max_retries=2)
        await submit_job(deps, SubmitJob(pipeline_config=config))
    async with asyncio.TaskGroup() as group:
        for number in range(WORKERS):
            group.create_task(unreliable_worker(deps, random.Random(seed * 100 + number)))
        group.create_task(misfortune(deps, database, random.Random(seed), prefix=f"crowd-{seed}"))
    await drain(deps, database)
    async with database.connection() as connection:
        await check_promises(connection)


async def unreliable_worker(deps: Deps, chance: random.Random) -> None:
    held: list[ClaimedStep] = []
    for _ in range(60):
        match chance.choices(["claim", "finish", "vanish", "beat"], [6, 5, 1, 3])[0]:
            case "claim":
                step = await claimed(deps)
                held += [step] if step else []
            case "finish" if held:
                await report(deps, held.pop(chance.randrange(len(held))), chance)
            case "vanish":
                held.clear()
            case "beat" if held:
                chance.shuffle(held)
                steps = [HeldStep(step_id=step.step_id, fence=step.fence) for step in held]
                await beat_steps(deps, BeatSteps(worker_id="w", steps=steps))


async def report(deps: Deps, step: ClaimedStep, chance: random.Random) -> None:
    reports: list[Result] = [
        StepSucceeded(output=output(step.fence)),
        StepFailed(code="x", message="x", retryable=True),
        StepFailed(code="x", message="x", retryable=False),
        StepReleased(),
    ]
    (result,) = chance.choices(reports, [20, 4, 1, 2])
    await finish_step(deps, FinishStep(step_id=step.step_id, fence=step.fence, result=result))


async def misfortune(deps: Deps, database: Database, chance: random.Random, *, prefix: str) -> None:
    """Leases end early, reapers crowd each other, and callers change their minds."""
    for _ in range(30):
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE steps SET lease_until = clock_timestamp() WHERE id IN (SELECT id FROM steps"
                " WHERE status = 'running' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)"
            )
        await asyncio.gather(*(Reaper(deps, interval=1).expire_leases() for _ in range(2)))
        if chance.random() < 0.2:
            try:
                await cancel_job(deps, GetJob(job_id=f"job_{prefix}-{chance.randrange(JOBS)}"))
            except Refused as refused:
                assert "already" in refused.message
        await asyncio.sleep(0.01)


async def drain(deps: Deps, database: Database) -> None:
    """All leases end, and one worker that never fails does what is left."""
    async with asyncio.timeout(30):
        while True:
            async with database.connection() as connection:
                await connection.execute("UPDATE steps SET claimable_at = clock_timestamp() WHERE status = 'ready'")
                left = await connection.fetchval(
                    "SELECT count(*) FROM steps WHERE status IN ('waiting', 'ready', 'running')"
                )
                await connection.execute("UPDATE steps SET lease_until = clock_timestamp() WHERE status = 'running'")
            if not left:
                return
            await Reaper(deps, interval=1).expire_leases()
            while step := await claimed(deps):
                succeeded = StepSucceeded(output=output(step.fence))
                await finish_step(deps, FinishStep(step_id=step.step_id, fence=step.fence, result=succeeded))


BROKEN_PROMISES = {
    "a run has not ended": "SELECT id FROM runs WHERE status = 'active'",
    "a completed run has steps that are not": """
        SELECT runs.id FROM runs JOIN steps ON steps.run = runs.id
        WHERE runs.status = 'completed' AND steps.status <> 'completed'
    """,
    "a result is not of the last claim": """
        SELECT id FROM steps WHERE status = 'completed' AND (output ->> 'rows')::bigint <> fence
    """,
    "a step started before what it needs had ended": """
        SELECT steps.id
        FROM steps JOIN steps AS need ON need.run = steps.run AND need.position = ANY (steps.needs)
        WHERE steps.started_at IS NOT NULL
            AND (need.status <> 'completed' OR need.finished_at > steps.started_at)
    """,
    "a run did not tell of its end exactly once": """
        SELECT runs.id FROM runs LEFT JOIN outbox ON outbox.message_id = 'run.' || runs.id || '.ended'
        GROUP BY runs.id HAVING count(outbox.id) <> 1
    """,
}


async def check_promises(connection: Connection) -> None:
    for broken, sql in BROKEN_PROMISES.items():
        assert not await connection.fetch(sql), broken


async def test_two_replicas_and_two_workers_finish_every_job_once(
    replica: Callable[[], AbstractAsyncContextManager[Service]], caller: Bus, jobs: Jobs, worker_bus: Bus
) -> None:
    async with AsyncExitStack() as stack:
        leaving = AsyncExitStack()
        await leaving.enter_async_context(replica())
        await stack.enter_async_context(replica())
        accepted = [await jobs.submit(["a", "b", "c"], [("a", "b"), ("a", "c")]) for _ in range(10)]

        async def work(name: str) -> int:
            worker, done = Worker(worker_bus, name), 0
            idle = 0
            while idle < 5:
                step = await worker.claim()
                if step is None:
                    idle += 1
                    await asyncio.sleep(0.05)
                else:
                    assert await worker.succeed(step)
                    done += 1
            return done

        working = [asyncio.create_task(work(name)) for name in ("one", "two")]
        await asyncio.sleep(0.1)
        await leaving.aclose()
        assert sum(await asyncio.gather(*working)) == 30
        for each in accepted:
            assert (await caller.ask(GET_JOB, GetJob(job_id=each.job_id))).status == "completed"
