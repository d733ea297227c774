"""Jobs over the bus: worked on, failing, falling silent, cancelled."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from common.bus import Bus
from common.context import Call, Principal, calling
from common.outbox import OutboxRelay
from common.service import Service
from common.tracing import tracer
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    CANCEL_JOB,
    FIND_JOBS_COMPARING,
    FIND_PATHS_IN_USE,
    GET_JOB,
    JOB_ENDED,
    SUBMIT_JOB,
    ClaimedStep,
    FindJobsComparing,
    FindPathsInUse,
    GetJob,
    Job,
    JobAccepted,
    JobCancelled,
    StepCancelled,
    StepFailed,
    StepReleased,
    SubmitJob,
)
from contracts.pipeline import PipelineConfig
from contracts.topology import TRAINER_WORK

from .conftest import Jobs, Worker, eventually, output

pytestmark = pytest.mark.usefixtures("service")

DIAMOND = (
    ["top", "left", "right", "bottom"],
    [("top", "left"), ("top", "right"), ("left", "bottom"), ("right", "bottom")],
)


async def job_of(bus: Bus, accepted: JobAccepted) -> Job:
    return await bus.ask(GET_JOB, GetJob(job_id=accepted.job_id))


async def cancel(bus: Bus, accepted: JobAccepted) -> JobCancelled:
    return await bus.ask(CANCEL_JOB, GetJob(job_id=accepted.job_id))


async def claimed_within(worker: Worker, seconds: float) -> ClaimedStep:
    """Asks until there is a step."""
    return await eventually(worker.claim, within=seconds)


async def until_lost(worker: Worker, step: ClaimedStep) -> None:
    """Beats as if nothing had happened, until the step is taken away."""

    async def lost() -> bool:
        return await worker.beat(step) == ["lost"]

    await eventually(lost)


async def paths_in_use(bus: Bus) -> list[str]:
    return (await bus.ask(FIND_PATHS_IN_USE, FindPathsInUse(paths=["s3://b/k", "s3://b/other"]))).paths


async def comparing(bus: Bus, *models: str) -> list[str]:
    return (await bus.ask(FIND_JOBS_COMPARING, FindJobsComparing(models=[*models]))).job_ids


def statuses(job: Job) -> dict[str, str]:
    return {step.agent_name: step.status for step in job.steps}


# Working through a graph


async def test_a_linear_job_runs_agent_by_agent(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a", "b", "c"], [("a", "b"), ("b", "c")], run_id="linear-1")
    assert (accepted.job_id, accepted.run_id, accepted.status) == ("job_linear-1", "linear-1", "pending")
    pending = await job_of(caller, accepted)
    assert (pending.status, pending.started_at, pending.progress.current_agent) == ("pending", None, None)

    inputs, used = [], []
    for rows, name in enumerate(["a", "b", "c"]):
        used.append(await paths_in_use(caller))
        step = await worker.take()
        assert (step.agent_name, step.attempt, step.job_id) == (name, 1, "job_linear-1")
        assert await worker.claim() is None
        running = await job_of(caller, accepted)
        assert (running.status, running.result, running.progress.current_agent) == ("running", None, name)
        inputs.append([given.rows for given in step.inputs if given.kind == "DatasetAgent"])
        assert await worker.succeed(step, rows)

    assert inputs == [[], [0], [1, 0]]
    assert used == [[], ["s3://b/k"], ["s3://b/k"]]
    assert await paths_in_use(caller) == [], "nobody reads what a job that has ended put out"
    done = await job_of(caller, accepted)
    assert (done.status, done.progress.completed_agents) == ("completed", ["a", "b", "c"])
    assert done.result == {"a": output(0), "b": output(1), "c": output(2)}
    assert done.started_at
    assert done.completed_at
    assert done.created_at <= done.started_at <= done.completed_at


async def test_jobs_that_have_yet_to_compare_a_model_are_found_by_the_names_that_they_use(
    caller: Bus, worker: Worker, datasets: set[str]
) -> None:
    datasets.update({"prod@3", "prod@latest"})
    nodes = [
        {"agent_name": "data", "agent_class": "DatasetAgent", "config": {"file_path": "s3://datasets/a.csv"}},
        {"agent_name": "rows", "agent_class": "PreprocessingAgent", "config": {"base_model": "prod@1"}},
        {"agent_name": "ranking", "agent_class": "ComparisonAgent", "config": {"models": ["prod@3", "prod@latest"]}},
    ]
    edges = [{"from_agent": "data", "to_agent": "rows"}, {"from_agent": "rows", "to_agent": "ranking"}]
    config = PipelineConfig.model_validate({"run_id": "compares", "nodes": nodes, "edges": edges})
    accepted = await caller.ask(SUBMIT_JOB, SubmitJob(pipeline_config=config))
    await worker.succeed(await worker.take())
    assert await comparing(caller, "prod@30", "prod", "prod@1", "ranking") == []
    assert await comparing(caller, "prod", "prod@3") == ["job_compares"]
    assert await comparing(caller, "prod@latest") == ["job_compares"]
    await cancel(caller, accepted)
    assert await comparing(caller, "prod@3") == []


async def test_the_branches_of_a_diamond_run_side_by_side(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(*DIAMOND)
    await worker.succeed(await worker.take())
    first, second = await worker.take(), await worker.take()
    progress = (await job_of(caller, accepted)).progress
    assert (progress.current_agent, progress.current_agents) == ("left", ["left", "right"])

    await asyncio.gather(worker.succeed(first, 2), worker.succeed(second, 3))
    bottom = await worker.take()
    assert sorted(given.rows for given in bottom.inputs[:2] if given.kind == "DatasetAgent") == [2, 3]
    assert len(bottom.inputs) == 3
    await worker.succeed(bottom)
    assert (await job_of(caller, accepted)).status == "completed"


@pytest.fixture
def idle_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that hardly ever looks by itself."""
    monkeypatch.setattr(OutboxRelay.__init__, "__kwdefaults__", {"interval": 600.0})


@pytest.mark.usefixtures("idle_relay")
async def test_a_hint_reaches_a_worker_as_soon_as_a_step_is_ready(jobs: Jobs, worker: Worker, worker_bus: Bus) -> None:
    puller = worker_bus.puller(TRAINER_WORK)
    while stale := await puller.fetch(500, 0.2):
        await asyncio.gather(*(hint.ack() for hint in stale))
    pulling = asyncio.create_task(puller.fetch(1, 20.0))
    await asyncio.sleep(0.1)
    await jobs.submit(["a"])
    (hint,) = await pulling
    await hint.ack()
    step = await worker.claim(hint.delivered.body.step_id)
    assert step is not None
    assert step.agent_class == hint.delivered.body.agent_class
    await puller.close()


async def test_a_step_is_claimed_once(jobs: Jobs, worker: Worker) -> None:
    await jobs.submit([f"s{i}" for i in range(10)])
    claims = await asyncio.gather(*(worker.claim() for _ in range(25)))
    ids = [step.step_id for step in claims if step is not None]
    assert len(ids) == len(set(ids)) == 10


async def test_owners_take_turns(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    def as_user(name: str) -> Any:
        return calling(Call(principal=Principal(id=name, name=name, role="member")))

    with as_user("busy"):
        await jobs.submit([f"busy{i}" for i in range(6)])
    with as_user("modest"):
        await jobs.submit([f"modest{i}" for i in range(2)])
    order = [(await worker.take()).agent_name for _ in range(8)]
    assert order == ["busy0", "modest0", "busy1", "modest1", "busy2", "busy3", "busy4", "busy5"]


async def test_the_trace_of_the_submission_reaches_the_worker(jobs: Jobs, worker: Worker) -> None:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    with tracer().start_as_current_span("caller") as span:
        await jobs.submit(["a"])
    traceparent = (await worker.take()).traceparent
    assert traceparent
    assert trace.format_trace_id(span.get_span_context().trace_id) in traceparent


# Failing and trying again


async def test_a_failure_that_may_pass_is_tried_again(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    await worker.fail(await worker.take(), retryable=True)
    again = await claimed_within(worker, 2)
    assert again.attempt == 2
    await worker.succeed(again)
    assert (await job_of(caller, accepted)).status == "completed"


async def test_when_all_attempts_have_failed_the_job_fails_of_the_last_error(
    caller: Bus, jobs: Jobs, worker: Worker
) -> None:
    accepted = await jobs.submit(["a", "b", "c"], [("a", "b"), ("b", "c")], max_retries=1)
    for _ in range(2):
        await worker.fail(await claimed_within(worker, 2), retryable=True)
    failed = await job_of(caller, accepted)
    assert (failed.status, failed.result) == ("failed", None)
    assert statuses(failed) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert failed.error
    assert (failed.error.agent, failed.error.code, failed.error.message) == ("a", "DATASET_ERROR", "It broke")
    assert await worker.claim() is None


@pytest.mark.parametrize(
    ("code", "told"),
    [("training_failed", "TRAINING_ERROR"), ("STORAGE_ERROR", "STORAGE_ERROR"), ("?", "INTERNAL_ERROR")],
)
async def test_a_failure_is_told_in_the_codes_of_document_e(
    caller: Bus, jobs: Jobs, worker: Worker, code: str, told: str
) -> None:
    accepted = await jobs.submit(["a"])
    await worker.fail(await worker.take(), code=code)
    error = (await job_of(caller, accepted)).error
    assert error
    assert error.code == told


async def test_a_failure_for_good_tells_running_siblings_to_stop(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a", "b"])
    first, second = await worker.take(), await worker.take()
    assert await worker.beat(first, second) == ["held", "held"]
    await worker.fail(first)
    assert await worker.beat(second) == ["cancel"]
    assert await worker.finish(second, StepCancelled())
    assert statuses(await job_of(caller, accepted)) == {"a": "failed", "b": "cancelled"}


@pytest.mark.parametrize(
    "report",
    [StepReleased(), StepFailed(code="STORAGE_ERROR", message="No object store", retryable=True, away=True)],
    ids=["given back", "the object store is away"],
)
async def test_what_was_no_attempt_is_claimed_again_as_the_same(
    jobs: Jobs, worker: Worker, report: StepReleased | StepFailed
) -> None:
    await jobs.submit(["a"], max_retries=0)
    first = await worker.take()
    assert await worker.finish(first, report)
    again = await claimed_within(worker, 4)
    assert (again.attempt, again.fence) == (1, first.fence + 1)
    assert await worker.beat(first) == ["lost"]


async def test_a_worker_that_stops_unasked_has_failed(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"], max_retries=0)
    await worker.finish(await worker.take(), StepCancelled())
    assert (await job_of(caller, accepted)).status == "failed"


async def test_a_report_that_is_sent_twice_is_recorded_once(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    step = await worker.take()
    assert all(await asyncio.gather(worker.succeed(step, 5), worker.succeed(step, 5)))
    assert not await worker.fail(step)
    assert (await job_of(caller, accepted)).result == {"a": output(5)}


# Silence


async def test_a_step_whose_worker_falls_silent_goes_to_another_and_the_late_result_is_dropped(
    caller: Bus, jobs: Jobs, worker: Worker
) -> None:
    accepted = await jobs.submit(["a"])
    lost = await worker.take()
    again = await claimed_within(Worker(worker.bus, "other"), 4)
    assert (again.step_id, again.fence, again.attempt) == (lost.step_id, 2, 1)
    assert await worker.beat(lost) == ["lost"]
    assert not await worker.succeed(lost, rows=1)
    assert await worker.succeed(again, rows=2)
    assert not await worker.succeed(lost, rows=1)
    assert (await job_of(caller, accepted)).result == {"a": output(2)}


async def test_beats_keep_a_step(worker: Worker, jobs: Jobs) -> None:
    await jobs.submit(["a"])
    step = await worker.take()
    for _ in range(6):
        await asyncio.sleep(0.3)
        assert await worker.beat(step) == ["held"]
    assert await worker.succeed(step)


@pytest.mark.parametrize("settings", [{"step_interruptions": 1}], indirect=True)
async def test_a_worker_that_always_dies_fails_the_job(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"], max_retries=0)
    for _ in range(2):
        await claimed_within(worker, 4)

    async def failed() -> Job | None:
        job = await job_of(caller, accepted)
        return job if job.status == "failed" else None

    job = await eventually(failed)
    assert job.error
    assert job.error.message == "The worker stopped answering"


async def test_no_beat_carries_a_step_past_its_deadline(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    config = PipelineConfig.model_validate(
        {
            "nodes": [{"agent_name": "a", "agent_class": "DatasetAgent", "config": {"file_path": "s3://b/k"}}],
            "global_config": {"step_timeout_seconds": 0.6},
        }
    )
    accepted = await caller.ask(SUBMIT_JOB, SubmitJob(pipeline_config=config))
    step = await worker.take()
    await until_lost(worker, step)
    job = await job_of(caller, accepted)
    assert job.status == "failed"
    assert job.error
    assert "longer than 0.6 s" in job.error.message


# Cancelling


async def test_a_pending_job_is_cancelled_at_once(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a", "b"], [("a", "b")])
    assert await cancel(caller, accepted) == JobCancelled(job_id=accepted.job_id, status="cancelled")
    job = await job_of(caller, accepted)
    assert (job.status, statuses(job)) == ("cancelled", {"a": "cancelled", "b": "cancelled"})
    assert await worker.claim() is None


async def test_a_running_job_is_cancelled_at_once_and_its_worker_hears_of_it(
    caller: Bus, jobs: Jobs, worker: Worker
) -> None:
    accepted = await jobs.submit(["a", "b"], [("a", "b")])
    step = await worker.take()
    await cancel(caller, accepted)
    assert (await job_of(caller, accepted)).status == "cancelled"
    assert await worker.beat(step) == ["cancel"]
    assert await worker.finish(step, StepCancelled())
    assert statuses(await job_of(caller, accepted)) == {"a": "cancelled", "b": "cancelled"}


async def test_a_cancelled_job_never_completes(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    step = await worker.take()
    await cancel(caller, accepted)
    assert await worker.succeed(step)
    job = await job_of(caller, accepted)
    assert (job.status, job.result, statuses(job)) == ("cancelled", None, {"a": "completed"})


async def test_a_worker_that_does_not_stop_loses_its_step(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    step = await worker.take()
    await cancel(caller, accepted)
    await until_lost(worker, step)
    assert statuses(await job_of(caller, accepted)) == {"a": "cancelled"}


async def test_a_job_between_two_attempts_is_cancelled(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"], max_retries=5)
    await worker.fail(await worker.take(), retryable=True)
    await cancel(caller, accepted)
    await asyncio.sleep(0.3)
    assert await worker.claim() is None


async def test_cancelling_again_answers_the_same(caller: Bus, jobs: Jobs) -> None:
    accepted = await jobs.submit(["a"])
    assert await cancel(caller, accepted) == await cancel(caller, accepted)


async def test_what_has_ended_cannot_be_cancelled(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    await worker.succeed(await worker.take())
    with pytest.raises(Refused, match="completed already: `purge=true`") as refused:
        await cancel(caller, accepted)
    assert refused.value.code is RefusalCode.CONFLICT


@pytest.mark.parametrize("job_id", ["job_nobody", "nobody", "job_", "job_a\0b"])
@pytest.mark.parametrize("rpc", [GET_JOB, CANCEL_JOB])
async def test_a_job_that_is_not_there_is_not_found(caller: Bus, rpc: Any, job_id: str) -> None:
    with pytest.raises(Refused) as refused:
        await caller.ask(rpc, GetJob(job_id=job_id))
    assert refused.value.code is RefusalCode.NOT_FOUND


# Telling


async def test_the_end_of_a_job_is_told(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    accepted = await jobs.submit(["a"])
    await worker.succeed(await worker.take())
    # From the first that is kept: those of other tests are among them.
    async with asyncio.timeout(20), aclosing(caller.follow(JOB_ENDED, after=0)) as events:
        told = await anext(event.body async for event in events if event.body.job_id == accepted.job_id)
    assert (told.run_id, told.status) == (accepted.run_id, "completed")


async def test_a_ready_service_says_so(service: Service) -> None:
    assert await service.readiness() == {"postgres": "ok", "nats": "ok"}
