"""Jobs that are paused, resumed, adjusted, cancelled and gone on from, as their callers and workers see it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from contracts.base import RefusalCode
from contracts.orchestrator import (
    ADJUST_JOB,
    BEAT_STEPS,
    CANCEL_JOB,
    FREE_STEPS,
    GET_JOB,
    JOB_STEERED,
    LIST_JOBS,
    LOG_RECORDED,
    PAUSE_JOB,
    RESUME_JOB,
    RETRY_JOB,
    SUBMIT_JOB,
    AdjustJob,
    BeatSteps,
    ClaimedStep,
    EndedStep,
    FreeSteps,
    GetJob,
    HeldStep,
    Job,
    JobAccepted,
    ListJobs,
    LogEntry,
    LogRecord,
    RetryJob,
    StepCancelled,
    StepFailed,
    StepReleased,
    StepSucceeded,
    StepVerdict,
    SubmitJob,
)
from contracts.pipeline import PipelineConfig
from orchestrator.store import freeing, logs

from .asking import refused
from .conftest import Jobs, Worker, eventually, output

pytestmark = pytest.mark.usefixtures("service")

CHAIN = (["a", "b", "c"], [("a", "b"), ("b", "c")])


def as_user(name: str, role: Any = "member") -> Any:
    return calling(Call(principal=Principal(id=name.lower(), name=name, role=role)))


async def pause(bus: Bus, job_id: str) -> Job:
    return await bus.ask(PAUSE_JOB, GetJob(job_id=job_id))


async def resume(bus: Bus, job_id: str) -> Job:
    return await bus.ask(RESUME_JOB, GetJob(job_id=job_id))


async def get(bus: Bus, job_id: str) -> Job:
    return await bus.ask(GET_JOB, GetJob(job_id=job_id))


async def beat(worker: Worker, step: ClaimedStep, adjusted: int = 0) -> StepVerdict:
    held = HeldStep(step_id=step.step_id, fence=step.fence, adjusted=adjusted)
    (verdict,) = (await worker.bus.ask(BEAT_STEPS, BeatSteps(worker_id=worker.name, steps=[held]))).verdicts
    return verdict


async def log_until(bus: Bus, run_id: str, words: str) -> list[LogRecord]:
    records = []
    async with aclosing(bus.follow(LOG_RECORDED, key=run_id, after=0)) as source:
        async for delivered in source:
            records.append(delivered.body)
            if words in delivered.body.message:
                return records
    raise AssertionError("the log ended")


def training(run_id: str | None = None) -> SubmitJob:
    fields = {"template": "finetune", "file_path": "s3://datasets/a.csv", "base_model": "m", "run_id": run_id}
    return SubmitJob.model_validate(fields)


# Pausing


async def test_a_paused_job_gives_its_worker_free_and_goes_on_when_resumed(
    caller: Bus, jobs: Jobs, worker: Worker
) -> None:
    accepted = await jobs.submit(*CHAIN)
    step = await worker.take()
    assert (await pause(caller, accepted.job_id)).status == "paused"
    assert (await beat(worker, step)).verdict == "pause"
    assert await worker.finish(step, StepReleased())
    assert await worker.claim() is None
    paused = await get(caller, accepted.job_id)
    assert (paused.status, paused.steps[0].status) == ("paused", "paused")

    assert (await resume(caller, accepted.job_id)).status == "running"
    again = await worker.take()
    assert (again.agent_name, again.attempt, again.fence) == ("a", 1, 2)
    assert (await beat(worker, again)).verdict == "held"


async def test_what_completes_meanwhile_counts_and_nothing_follows_it(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(*CHAIN)
    step = await worker.take()
    await pause(caller, accepted.job_id)
    await pause(caller, accepted.job_id)
    assert await worker.succeed(step)
    assert await worker.claim() is None
    await resume(caller, accepted.job_id)
    assert (await worker.take()).agent_name == "b"


async def test_paused_jobs_are_listed_as_such(caller: Bus, jobs: Jobs) -> None:
    accepted, other = await jobs.submit(["a"]), await jobs.submit(["a"])
    await pause(caller, accepted.job_id)

    async def listed(**chosen: Any) -> list[str]:
        return [job.job_id for job in (await caller.ask(LIST_JOBS, ListJobs(**chosen))).items]

    assert await listed(status="paused") == [accepted.job_id]
    assert await listed(status="pending") == [other.job_id]
    with as_user("Ada"):
        mine = await jobs.submit(["a"])
        assert await listed(owner="me") == [mine.job_id]
    assert await listed(owner="ada") == [mine.job_id]
    moment = (await get(caller, other.job_id)).created_at
    assert await listed(created_after=moment) == [mine.job_id]
    assert await listed(created_before=moment) == [accepted.job_id]


async def test_a_job_that_has_ended_is_steered_no_more(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    await worker.succeed(await worker.take())
    for ask in (pause, resume):
        async with refused(RefusalCode.CONFLICT) as refusal:
            await ask(caller, accepted.job_id)
        assert "completed" in refusal.message
    async with refused(RefusalCode.NOT_FOUND):
        await pause(caller, "job_nobody")


# Adjusting


async def test_an_adjustment_reaches_the_agent_that_trains_now_and_whenever_it_starts_again(
    caller: Bus, worker: Worker
) -> None:
    accepted = await caller.ask(SUBMIT_JOB, training())
    adjust = AdjustJob(job_id=accepted.job_id, learning_rate=1e-5)
    with as_user("Ada", "admin"):
        first = (await caller.ask(ADJUST_JOB, adjust)).number
    for _ in range(3):
        await worker.succeed(await worker.take())
    step = await worker.take()
    assert step.agent_class == "TrainingAgent"
    assert [(one.learning_rate, one.by) for one in step.adjustments] == [(1e-5, "Ada")]
    again = adjust.model_copy(update={"learning_rate": 2e-5, "agent_name": "training"})
    second = (await caller.ask(ADJUST_JOB, again)).number
    assert [one.learning_rate for one in (await beat(worker, step, adjusted=first)).adjustments] == [2e-5]
    assert (await beat(worker, step, adjusted=second)).adjustments == []
    await worker.finish(step, StepReleased())
    assert [one.number for one in (await worker.take()).adjustments] == [first, second]


async def test_a_job_says_how_far_its_training_is(caller: Bus, worker: Worker, database: Database) -> None:
    accepted = await caller.ask(SUBMIT_JOB, training())
    for _ in range(3):
        await worker.succeed(await worker.take())
    first = await worker.take()
    assert first.agent_name == "training"
    # The same step twice is what an evaluation says; then an hour's pause. Four bytes are too few for such steps.
    began, many = datetime.now(UTC), 10**8
    seconds = {10: [0], 20: [50, 60], 30: [110], 40: [3700], 50: [3750]}

    def measured(step: int, second: int) -> LogRecord:
        return LogRecord(
            run_id=accepted.run_id,
            timestamp=began + timedelta(seconds=second),
            agent="TrainingAgent",
            agent_name="training",
            level="METRIC",
            message="",
            step=step * many,
            total_steps=100 * many,
        )

    records = [measured(step, second) for step, moments in seconds.items() for second in moments]
    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=10**9 + n, record=one) for n, one in enumerate(records)])
    job = await get(caller, accepted.job_id)
    (step,) = [step for step in job.steps if step.agent_name == "training"]
    assert (step.training_step, step.total_steps, step.seconds_left) == (50 * many, 100 * many, 250)
    # Three of seven agents, and half of the fourth.
    assert job.progress.percent == 50
    assert (await caller.ask(LIST_JOBS, ListJobs())).items[0] == job
    paused = await pause(caller, accepted.job_id)
    assert (paused.steps[3].training_step, paused.steps[3].seconds_left) == (50 * many, 250)
    assert (paused.status, paused.progress.percent) == ("paused", 50)

    # It never falls: neither while nobody works on it, nor while steps are done again, nor once it has ended.
    await worker.finish(first, StepReleased())
    assert (await resume(caller, accepted.job_id)).progress.percent == 50
    again = await worker.take()
    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=2 * 10**9, record=measured(45, 4000))])
    behind = await get(caller, accepted.job_id)
    assert (behind.steps[3].training_step, behind.progress.percent) == (45 * many, 50)
    await worker.finish(again, StepFailed(code="TRAINING_ERROR", message="broke", retryable=False))
    failed = await get(caller, accepted.job_id)
    assert (failed.status, failed.steps[3].training_step, failed.progress.percent) == ("failed", 45 * many, 50)


async def test_what_does_not_train_is_not_adjusted(caller: Bus, jobs: Jobs) -> None:
    accepted = await jobs.submit(["a"])
    async with refused(RefusalCode.CONFLICT):
        await caller.ask(ADJUST_JOB, AdjustJob(job_id=accepted.job_id, learning_rate=1e-5))
    trained = await caller.ask(SUBMIT_JOB, training())
    async with refused(RefusalCode.CONFLICT):
        await caller.ask(ADJUST_JOB, AdjustJob(job_id=trained.job_id, learning_rate=1e-5, agent_name="dataset"))


# Who


async def test_only_the_owner_and_administrators_steer_a_job(caller: Bus, jobs: Jobs) -> None:
    with as_user("Ada"):
        accepted = await jobs.submit(["a"])
    asked: list[tuple[Any, Any]] = [
        (PAUSE_JOB, GetJob(job_id=accepted.job_id)),
        (RESUME_JOB, GetJob(job_id=accepted.job_id)),
        (CANCEL_JOB, GetJob(job_id=accepted.job_id)),
        (ADJUST_JOB, AdjustJob(job_id=accepted.job_id, learning_rate=1e-5)),
    ]
    for who in (as_user("Bob"), as_user("Ada", "viewer")):
        with who:
            for rpc, request in asked:
                async with refused(RefusalCode.FORBIDDEN):
                    await caller.ask(rpc, request)
    with as_user("Root", "admin"):
        assert (await pause(caller, accepted.job_id)).status == "paused"
    with as_user("Ada"):
        assert (await resume(caller, accepted.job_id)).status == "pending"


async def test_everyone_who_watches_sees_who_did_what_and_workers_are_told(caller: Bus, jobs: Jobs) -> None:
    async with aclosing(caller.follow(JOB_STEERED, after=0)) as hints:
        with as_user("Ada"):
            accepted = await jobs.submit(["a"])
            await pause(caller, accepted.job_id)
            await resume(caller, accepted.job_id)
            await caller.ask(CANCEL_JOB, GetJob(job_id=accepted.job_id))
        records = await log_until(caller, accepted.run_id, "Job cancelled")
        async for hint in hints:
            if hint.body.run_id == accepted.run_id:
                break
    steering = [record.steering for record in records if record.steering]
    assert [(one.action, one.by) for one in steering] == [("pause", "Ada"), ("resume", "Ada"), ("cancel", "Ada")]
    numbers = [one.number for one in steering]
    assert numbers == sorted(set(numbers))
    assert next(record.message for record in records if record.steering) == "Ada paused the job"


# Going on from a job that has ended


async def retry(bus: Bus, job_id: str, **fields: Any) -> JobAccepted:
    return await bus.ask(RETRY_JOB, RetryJob(job_id=job_id, **fields))


async def failed(jobs: Jobs, worker: Worker, run_id: str) -> JobAccepted:
    """A job whose second of three agents failed."""
    accepted = await jobs.submit(*CHAIN, run_id=run_id)
    await worker.succeed(await worker.take(), rows=7)
    await worker.fail(await worker.take())
    return accepted


async def test_a_retry_goes_on_from_the_agent_that_failed(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await failed(jobs, worker, "broken")
    again = await retry(caller, accepted.job_id)
    assert (again.run_id, again.status) == ("broken-r2", "pending")
    step = await worker.take()
    assert (step.agent_name, step.resumes, step.inputs) == ("b", "broken", [output(7)])
    job = await get(caller, again.job_id)
    assert (job.progress.completed_agents, job.progress.cached_agents, job.retry_of) == (["a"], ["a"], "job_broken")
    await worker.succeed(step)
    await worker.succeed(await worker.take())
    assert (await get(caller, again.job_id)).status == "completed"
    assert (await get(caller, accepted.job_id)).status == "failed"
    assert (await retry(caller, again.job_id)).run_id == "broken-r3"


async def test_what_is_named_or_configured_anew_is_done_again_with_all_that_follows(
    caller: Bus, jobs: Jobs, worker: Worker
) -> None:
    accepted = await failed(jobs, worker, "wrong")
    changed = {"a": {"file_path": "s3://datasets/b.csv"}}
    anew = await retry(caller, accepted.job_id, configs=changed, run_id="anew")
    step = await worker.take()
    assert (anew.run_id, step.agent_name, step.config["file_path"]) == ("anew", "a", "s3://datasets/b.csv")
    await retry(caller, accepted.job_id, from_agent="a", run_id="again")
    assert (await worker.take()).agent_name == "a"
    for wrong in ({"configs": {"x": {}}}, {"from_agent": "x"}):
        async with refused(RefusalCode.CONFIG_INVALID):
            await retry(caller, accepted.job_id, **wrong)


async def test_a_retry_under_the_same_key_is_made_once(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await failed(jobs, worker, "once")
    with calling(Call(idempotency_key="k")):
        first = await retry(caller, accepted.job_id)
        assert await retry(caller, accepted.job_id) == first
    assert (await retry(caller, accepted.job_id)).run_id == "once-r3"
    others = await asyncio.gather(*(retry(caller, accepted.job_id, from_agent=name) for name in ("a", None, "a")))
    assert sorted(job.run_id for job in others) == ["once-r4", "once-r5", "once-r6"]
    with calling(Call(idempotency_key="l")):
        same = await asyncio.gather(*(retry(caller, accepted.job_id) for _ in range(3)))
    assert {job.run_id for job in same} == {"once-r7"}


async def test_a_job_that_goes_on_is_not_retried(caller: Bus, jobs: Jobs) -> None:
    accepted = await jobs.submit(["a"])
    async with refused(RefusalCode.CONFLICT):
        await retry(caller, accepted.job_id)


# Taken over


async def test_progress_says_what_came_from_the_cache(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a", "b"], [("a", "b")])
    await worker.finish(await worker.take(), StepSucceeded(output=output(), cached=True))
    await worker.succeed(await worker.take())
    job = await get(caller, accepted.job_id)
    assert (job.progress.completed_agents, job.progress.cached_agents) == (["a", "b"], ["a"])
    assert [step.cached for step in job.steps] == [True, False]


async def test_a_sweep_runs_side_by_side_and_says_what_each_tries(caller: Bus, worker: Worker) -> None:
    node = {"agent_name": "a", "agent_class": "DatasetAgent", "sweep": {"file_path": ["s3://d/1", "s3://d/2"]}}
    config = PipelineConfig.model_validate({"nodes": [node]})
    accepted = await caller.ask(SUBMIT_JOB, SubmitJob(pipeline_config=config))
    steps = [await worker.take(), await worker.take()]
    assert {step.config["file_path"] for step in steps} == {"s3://d/1", "s3://d/2"}
    job = await get(caller, accepted.job_id)
    assert job.progress.current_agents == ["a-1", "a-2"]
    assert [step.sweep for step in job.steps] == [{"file_path": "s3://d/1"}, {"file_path": "s3://d/2"}]


# What is left when jobs have ended


async def trains(caller: Bus, worker: Worker, run_id: str) -> ClaimedStep:
    """A job of that name that has come to its training."""
    await caller.ask(SUBMIT_JOB, training(run_id))
    while (step := await worker.take()).agent_class != "TrainingAgent":
        await worker.succeed(step)
    return step


async def test_checkpoints_go_once_nobody_will_go_on_from_them(caller: Bus, worker: Worker, database: Database) -> None:
    async def to_free(*freed: int) -> list[EndedStep]:
        return (await worker.bus.ask(FREE_STEPS, FreeSteps(freed=list(freed)))).steps

    async def at_once() -> set[tuple[str, bool]]:
        """As if all patience had run out."""
        async with database.connection() as connection:
            return {(s.run_id, s.cancelled) for s in await freeing.to_free(connection, retention=0, grace=0)}

    await worker.succeed(await trains(caller, worker, "trained"))
    assert await at_once() == set()
    await worker.fail(await worker.take())
    stopped = await trains(caller, worker, "stopped")
    await caller.ask(CANCEL_JOB, GetJob(job_id="job_stopped"))
    assert await at_once() == {("trained", False)}
    await worker.finish(stopped, StepCancelled())
    await worker.fail(await trains(caller, worker, "broken"))
    found = await eventually(lambda: _two(to_free))
    assert {(step.run_id, step.cancelled) for step in found} == {("trained", False), ("stopped", True)}
    assert await to_free(*(step.step_id for step in found), 10**9) == []
    # A failed training is kept to be gone on from: for a time, and while somebody does.
    assert await at_once() == {("broken", False)}
    again = await retry(caller, "job_broken")
    assert await at_once() == set()
    await caller.ask(CANCEL_JOB, GetJob(job_id=again.job_id))
    assert await at_once() == {("broken", False), ("broken-r2", True)}


async def _two(find: Callable[[], Awaitable[list[EndedStep]]]) -> list[EndedStep] | None:
    found = await find()
    return found if len(found) == 2 else None
