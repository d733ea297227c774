"""Jobs that are deleted, beside a real registry and object store: what only they need goes, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from common.objects import Objects, S3Path
from common.service import Service, running
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    CANCEL_JOB,
    DELETE_JOB,
    FORGET_RESULTS,
    GET_JOB,
    GET_LOGS,
    LIST_JOBS,
    LOG_RECORDED,
    RETRY_JOB,
    REUSE_RESULT,
    SUBMIT_JOB,
    ClaimedStep,
    ForgetResults,
    GetJob,
    GetLogs,
    JobAccepted,
    JobDeleted,
    ListJobs,
    LogRecord,
    RetryJob,
    ReuseResult,
    StepFailed,
    StepSucceeded,
    SubmitJob,
)
from contracts.pipeline import DatasetOutput
from contracts.registry import (
    DELETE_MODEL,
    GET_DOWNLOAD,
    GET_LINEAGE,
    GET_LOSS_PLOT,
    REGISTER_MODEL,
    DeleteModel,
    GetDownload,
    GetModel,
    LineageStep,
    Model,
    RegisterModel,
)
from embedded.endpoints import Endpoints
from orchestrator.deps import Deps
from orchestrator.engine import job_removal
from orchestrator.main import build
from orchestrator.settings import Settings
from orchestrator.store import deleted_jobs
from registry.main import build as build_registry
from registry.settings import Settings as RegistrySettings

from .asking import refused
from .conftest import Jobs, Worker, definition, eventually

FILE = "data.parquet"


@pytest.fixture
def objects(servers: Endpoints) -> Objects:
    found = servers["trainer"]
    return Objects(found.s3_endpoint, found.s3_access_key, found.s3_secret_key)


@pytest.fixture
def registry(servers: Endpoints, tmp_path: Any) -> Callable[..., AbstractAsyncContextManager[Service]]:
    """Starts a registry for as long as a block lasts."""
    found = servers["registry"]
    settings = RegistrySettings(
        nats_url=found.nats_url,
        nats_user=found.nats_user,
        nats_password=found.nats_password,
        database_url=found.database_url,
        s3_endpoint=found.s3_endpoint,
        s3_access_key=found.s3_access_key,
        s3_secret_key=found.s3_secret_key,
        data_dir=tmp_path,
    )
    return lambda **changes: running("registry", settings.model_copy(update=changes), build_registry)


@pytest.fixture
async def registered(registry: Any, service: Service) -> AsyncIterator[None]:
    async with registry():
        yield


class Agents:
    """A worker whose steps leave objects, as a trainer's do, and what is left of them."""

    def __init__(self, jobs: Jobs, worker: Worker, objects: Objects) -> None:
        self._jobs, self._worker, self._objects = jobs, worker, objects

    async def job(self, *names: str, reuses: str | None = None, run_id: str | None = None) -> JobAccepted:
        """A job that completes. Its first step takes over what the first one of the run `reuses` made."""
        accepted = await self._jobs.submit(names, run_id=run_id)
        for name in names:
            step = await self._worker.take()
            origin = reuses if reuses is not None and name == names[0] else None
            assert await self.finish(step, origin)
        return accepted

    async def finish(self, step: ClaimedStep, origin: str | None = None) -> bool:
        place = S3Path("artifacts", f"{origin or step.run_id}/{step.agent_name}/{FILE}")
        if origin is None:
            self._objects.put_bytes(place, b"12345")
        elif not await self.reuse(step, place):
            return False
        output = DatasetOutput(
            dataset_id=None, s3_path=str(place), format="csv", rows=1, columns=[], size_bytes=5, sha256="0"
        )
        return await self._worker.finish(step, StepSucceeded(output=output, cached=origin is not None))

    async def reuse(self, step: ClaimedStep, place: S3Path) -> bool:
        request = ReuseResult(step_id=step.step_id, fence=step.fence, paths=[str(place), "s3://datasets/ds_1/a.csv"])
        return (await self._worker.bus.ask(REUSE_RESULT, request)).granted

    def left(self, run_id: str) -> set[str]:
        found = self._objects.list(S3Path("artifacts", f"{run_id}/"))
        return {info.path.key.removeprefix(f"{run_id}/").removesuffix(f"/{FILE}") for info in found}

    async def when_left(self, run_id: str, names: set[str]) -> None:
        async def find() -> bool:
            return self.left(run_id) == names

        await eventually(find)


@pytest.fixture
def agents(jobs: Jobs, worker: Worker, objects: Objects) -> Agents:
    return Agents(jobs, worker, objects)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_removal, "_LOOK_SECONDS", 0.05)


async def delete(bus: Bus, job: JobAccepted) -> JobDeleted:
    return await bus.ask(DELETE_JOB, GetJob(job_id=job.job_id))


def as_user(name: str, role: Any = "member") -> Any:
    return calling(Call(principal=Principal(id=name, name=name, role=role)))


async def register(bus: Bus, run_id: str, *agents: str) -> Model:
    """A model of what these agents of the run made; the first is its export."""
    paths = [f"s3://artifacts/{run_id}/{agent}" for agent in agents]
    entry = RegisterModel(
        idempotency_key=f"{run_id}/registration",
        run_id=run_id,
        model_name=f"model-of-{run_id}",
        description="",
        base_model="tiny",
        training_config={},
        metrics={},
        exports={"adapter": paths[0]},
        lineage=[LineageStep(kind="training", name="t", path=path) for path in paths[1:]],
    )
    return await bus.ask(REGISTER_MODEL, entry)


@pytest.mark.usefixtures("registered")
async def test_what_a_model_needs_stays_and_goes_with_it(
    caller: Bus, worker: Worker, agents: Agents, database: Database, objects: Objects
) -> None:
    job = await agents.job("export", "winner", "loser", "dataset", run_id="swept")
    neighbour = S3Path("artifacts", "swept-r2/loser/weights")
    for place in (neighbour, S3Path("artifacts", "swept/loser/cut-off")):
        objects.put_part(place, objects.begin_parts(place), 1, b"1")
    model = await register(worker.bus, "swept", "export", "winner")
    line = LogRecord(
        run_id="swept",
        timestamp=job.created_at,
        agent="TrainingAgent",
        agent_name="winner",
        level="METRIC",
        message="m",
        step=1,
        loss=0.5,
    )
    await worker.bus.publish(LOG_RECORDED, line, message_id="swept.metric", key="swept")
    await eventually(lambda: _has_metric(caller))

    assert await delete(caller, job) == JobDeleted(job_id="job_swept", freed_bytes=10, pending=False)
    assert agents.left("swept") == {"export", "winner"}
    assert [part.path for part in objects.unfinished(S3Path("artifacts", "swept"))] == [neighbour]
    for gone in (caller.ask(GET_JOB, GetJob(job_id="job_swept")), caller.ask(GET_LOGS, GetLogs(run_id="swept"))):
        async with refused(RefusalCode.NOT_FOUND):
            await gone
    await eventually(lambda: _has_no_log(database))
    asked = GetModel(model_id=model.model_id)
    assert len((await caller.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id, format="adapter"))).files) == 1
    assert [step.kind for step in (await caller.ask(GET_LINEAGE, asked)).steps] == ["model", "training"]
    # Its log is gone; what it told of the model's training is not.
    assert "<svg" in (await caller.ask(GET_LOSS_PLOT, asked)).svg
    await caller.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
    await agents.when_left("swept", set())


async def _has_no_log(database: Database) -> bool:
    """A line that was on its way while the job was deleted goes with the next look."""
    await _due(database)
    async with database.connection() as connection:
        return await connection.fetchval("SELECT true FROM logs WHERE run_id = 'swept'") is None


async def _has_metric(caller: Bus) -> bool:
    return (await caller.ask(GET_LOGS, GetLogs(run_id="swept", level="METRIC"))).total == 1


@pytest.mark.usefixtures("registered")
async def test_what_another_job_has_taken_over_stays_until_that_is_deleted_too(
    caller: Bus, worker: Worker, agents: Agents, jobs: Jobs
) -> None:
    first = await agents.job("shared", "own", run_id="first")
    second = await agents.job("shared", "own", reuses="first", run_id="second")
    await jobs.submit(["shared"], run_id="third")
    late = await worker.take()
    assert (await delete(caller, first)).freed_bytes == 5
    assert agents.left("first") == {"shared"}
    # Whoever comes now does the work anew: what is left may be gone any moment.
    assert not await agents.finish(late, "first")
    assert await agents.finish(late)
    assert (await delete(caller, second)).freed_bytes == 5
    await agents.when_left("first", set())
    # Repeated, it tells how far that has come.
    told = JobDeleted(job_id=first.job_id, freed_bytes=10, pending=False)

    async def is_told() -> bool:
        return await delete(caller, first) == told

    await eventually(is_told)
    assert agents.left("third") == {"shared"}
    forgotten: list[str] = []
    for expected in (["first", "second"], []):
        asked = ForgetResults(forgotten=forgotten)
        forgotten = (await worker.bus.ask(FORGET_RESULTS, asked)).run_ids
        assert forgotten == expected


@pytest.mark.usefixtures("registered")
async def test_a_job_that_is_needed_or_somebody_elses_is_not_deleted(
    caller: Bus, worker: Worker, agents: Agents, jobs: Jobs
) -> None:
    with as_user("ada"):
        job = await jobs.submit(["a", "b"], [("a", "b")], run_id="needed")
        async with refused(RefusalCode.CONFLICT) as active:
            await delete(caller, job)
    assert "cancel it first" in active.message
    await agents.finish(await worker.take())
    await worker.finish(await worker.take(), StepFailed(code="DATASET_ERROR", message="broke", retryable=False))
    retried = await caller.ask(RETRY_JOB, RetryJob(job_id=job.job_id))
    async with refused(RefusalCode.CONFLICT) as gone_on_from:
        await delete(caller, job)
    assert gone_on_from.metadata == {"jobs": [retried.job_id]}
    await caller.ask(CANCEL_JOB, GetJob(job_id=retried.job_id))
    for stranger in (as_user("eve"), as_user("ada", "viewer")):
        with stranger:
            async with refused(RefusalCode.FORBIDDEN):
                await delete(caller, job)
    assert agents.left("needed") == {"a"}
    with as_user("ada"):
        # What the retry took over stays for the next one.
        assert (await delete(caller, job)).freed_bytes == 0
        assert (await delete(caller, job)).job_id == job.job_id
    with as_user("eve"):
        async with refused(RefusalCode.FORBIDDEN):
            await delete(caller, job)
    again = await caller.ask(RETRY_JOB, RetryJob(job_id=retried.job_id))
    assert (again.run_id, (await worker.take()).agent_name) == ("needed-r3", "b")
    for unknown in (JobAccepted(**vars(job) | {"job_id": "job_unknown"}), JobAccepted(**vars(job) | {"job_id": "x"})):
        async with refused(RefusalCode.NOT_FOUND):
            await delete(caller, unknown)
    # Models are known by their run: its id is not given again, and nothing more is registered of it.
    async with refused(RefusalCode.CONFLICT):
        await jobs.submit(["a"], run_id="needed")
    async with refused(RefusalCode.CONFLICT):
        await register(worker.bus, "needed", "a")


@pytest.mark.usefixtures("registered")
async def test_what_others_are_about_to_read_waits_for_them(
    caller: Bus, worker: Worker, agents: Agents, jobs: Jobs, database: Database
) -> None:
    job = await agents.job("rows", "other", run_id="read")
    config = definition(["reader"]).model_dump(mode="json")
    config["nodes"][0]["config"]["file_path"] = f"s3://artifacts/read/rows/{FILE}"
    await caller.ask(SUBMIT_JOB, SubmitJob.model_validate({"pipeline_config": config}))
    deleted = await delete(caller, job)
    assert (deleted.freed_bytes, deleted.pending) == (5, True)
    assert agents.left("read") == {"rows"}
    await worker.succeed(await worker.take())
    await _due(database)
    await agents.when_left("read", set())
    assert not (await eventually(lambda: _settled(caller, job))).pending


async def _settled(caller: Bus, job: JobAccepted) -> JobDeleted | None:
    deleted = await delete(caller, job)
    return None if deleted.pending else deleted


async def test_a_deletion_that_is_cut_off_anywhere_is_completed(
    caller: Bus,
    worker: Worker,
    agents: Agents,
    database: Database,
    replica: Callable[[], AbstractAsyncContextManager[Service]],
    registry: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The object store is away, and then the orchestrator dies at any of the steps that follow."""
    async with replica():
        job = await agents.job("a", run_id="cut")
        async with registry(s3_endpoint="http://127.0.0.1:9"):
            assert await delete(caller, job) == JobDeleted(job_id="job_cut", freed_bytes=0, pending=True)
    assert agents.left("cut") == {"a"}
    async with registry():
        for step in ("wake_origins", "freed", "looked"):
            reached = asyncio.Event()

            async def dies(*_: Any, reached: asyncio.Event = reached, **__: Any) -> None:
                reached.set()
                raise asyncio.CancelledError

            with monkeypatch.context() as dying:
                dying.setattr(deleted_jobs, step, dies)
                await _due(database)
                async with replica(), asyncio.timeout(10):
                    await reached.wait()
        await _due(database)
        async with replica():
            # What was removed just before it died is told as well.
            assert (await eventually(lambda: _settled(caller, job))).freed_bytes == 5
    assert agents.left("cut") == set()


async def _due(database: Database) -> None:
    """As if whoever had taken it had been gone for a minute."""
    async with database.connection() as connection:
        await connection.execute("UPDATE deleted_jobs SET next_at = now()")


@pytest.mark.usefixtures("registered")
async def test_old_jobs_are_deleted_once_but_for_those_that_others_go_on_from(
    caller: Bus, worker: Worker, agents: Agents, jobs: Jobs, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_removal, "_JOBS_AT_ONCE", 2)
    await agents.job("shared", "own", run_id="first")
    await agents.job("shared", reuses="first", run_id="second")
    broken = await jobs.submit(["a"], run_id="broken")
    await worker.finish(await worker.take(), StepFailed(code="DATASET_ERROR", message="broke", retryable=False))
    await agents.job("last", run_id="last")
    retried = await caller.ask(RETRY_JOB, RetryJob(job_id=broken.job_id))

    async def there() -> set[str]:
        return {job.run_id for job in (await caller.ask(LIST_JOBS, ListJobs())).items}

    assert await job_removal.delete_old(deps, 3600) is None
    # One that cannot be deleted now holds up no other.
    with monkeypatch.context() as away:
        away.setattr(job_removal, "delete", _away)
        passed = await job_removal.delete_old(deps, 0.001)
        assert await job_removal.delete_old(deps, 0.001, passed) != passed
    assert await there() == {"first", "second", "broken", "last", retried.run_id}
    # Two replicas at once, each a small batch; then what they have left, if the later found no more than the first had.
    after, _ = await asyncio.gather(job_removal.delete_old(deps, 0.001), job_removal.delete_old(deps, 0.001))
    assert await there() - {"last"} == {"broken", retried.run_id}
    assert await job_removal.delete_old(deps, 0.001, after) is None
    assert await there() == {"broken", retried.run_id}


async def _away(*_: Any) -> None:
    raise Refused(RefusalCode.UNAVAILABLE, "The registry is away")


async def test_an_orchestrator_deletes_old_jobs_if_it_is_told_to(
    agents: Agents, settings: Settings, registry: Any, service: Service, database: Database
) -> None:
    async with registry():
        await agents.job("a", run_id="old")
        hurried = settings.model_copy(update={"job_retention_days": 1e-9})
        async with running("orchestrator", hurried, build):
            await eventually(lambda: _is_deleted(database))
        await _due(database)
        await agents.when_left("old", set())


async def _is_deleted(database: Database) -> bool:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT true FROM deleted_jobs WHERE run_id = 'old'") is not None


@pytest.mark.usefixtures("registered")
async def test_whoever_takes_a_result_over_and_whoever_deletes_it_at_the_same_time_agree(
    caller: Bus, worker: Worker, agents: Agents, jobs: Jobs
) -> None:
    """Either the result is not granted, or it is there."""
    for number in range(6):
        job = await agents.job("a", run_id=f"made-{number}")
        await jobs.submit(["a"], run_id=f"takes-{number}")
        step = await worker.take()
        place = S3Path("artifacts", f"made-{number}/a/{FILE}")
        asked: list[Awaitable[Any]] = [agents.reuse(step, place), delete(caller, job)]
        has, _ = await asyncio.gather(*asked)
        assert agents.left(f"made-{number}") == ({"a"} if has else set())
        await worker.fail(step)
