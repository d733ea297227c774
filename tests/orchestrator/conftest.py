"""An orchestrator on real servers, a caller that submits jobs, and workers that do as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from common.bus import Bus, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from common.service import Service, running
from common.settings import ServiceSettings
from contracts import registry
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    BEAT_STEPS,
    CLAIM_STEP,
    FINISH_STEP,
    SUBMIT_JOB,
    BeatSteps,
    ClaimedStep,
    ClaimStep,
    FinishStep,
    HeldStep,
    JobAccepted,
    StepFailed,
    StepSucceeded,
    SubmitJob,
)
from contracts.pipeline import AGENT_CONFIGS, DatasetOutput, PipelineConfig
from contracts.registry import Dataset, DatasetAnalysis, GetDataset, GetModel, Model
from embedded.endpoints import Endpoints
from orchestrator.deps import Deps
from orchestrator.main import build
from orchestrator.settings import Settings

from .answering import ANSWERS, Router

SettingsOf = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def access_of(servers: Endpoints) -> SettingsOf:
    """Where a service of that name finds the servers, and how it enters."""

    def access(service: str) -> dict[str, Any]:
        found = servers[service]
        return {
            "nats_url": found.nats_url,
            "nats_user": found.nats_user,
            "nats_password": found.nats_password,
            "database_url": found.database_url,
        }

    return access


@pytest.fixture
def settings(request: pytest.FixtureRequest, access_of: SettingsOf) -> Settings:
    """An orchestrator in a hurry; `@pytest.mark.parametrize("settings", [{...}], indirect=True)` says how much."""
    hurry: dict[str, Any] = {
        "lease_seconds": 1.0,
        "cancel_grace_seconds": 0.5,
        "retry_base_seconds": 0.05,
        "hint_pause_seconds": 0.3,
        "reap_interval_seconds": 0.05,
    }
    return Settings(**access_of("orchestrator"), **(hurry | getattr(request, "param", {})))


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The orchestrator's schema, empty but for prompts and actions: those stay, under names of their own."""
    found = await Database.connect(settings.database_url.get_secret_value(), "orchestrator")
    await found.migrate("orchestrator")
    async with found.connection() as connection:
        await connection.execute(
            "TRUNCATE runs, steps, workflow_runs, schedules, webhooks, logs, outbox, tasks, action_runs, posts,"
            " sections, deleted_jobs CASCADE"
        )
    yield found
    await found.close()


@asynccontextmanager
async def _bus(access_of: SettingsOf, service: str, *, grace: float = 10.0) -> AsyncIterator[Bus]:
    bus = await Bus.connect(ServiceSettings(**access_of(service)), service)
    try:
        yield bus
    finally:
        await bus.close(grace)


@pytest.fixture
async def caller(access_of: SettingsOf) -> AsyncIterator[Bus]:
    """The gateway's connection."""
    async with _bus(access_of, "gateway") as bus:
        yield bus


@pytest.fixture
async def deps(access_of: SettingsOf, database: Database, settings: Settings) -> AsyncIterator[Deps]:
    """What handlers take, for tests that call them without a service around; nothing is relayed."""
    async with _bus(access_of, "orchestrator") as bus:
        yield Deps(database, bus, OutboxRelay(database, bus), settings.policy)


@pytest.fixture
def replica(settings: Settings, database: Database) -> Callable[[], AbstractAsyncContextManager[Service]]:
    """Starts one more orchestrator, for as long as a block lasts."""
    return lambda: running("orchestrator", settings, build)


@pytest.fixture
async def service(replica: Callable[[], AbstractAsyncContextManager[Service]]) -> AsyncIterator[Service]:
    """One orchestrator."""
    async with replica() as started:
        yield started


@pytest.fixture
async def datasets(access_of: SettingsOf) -> AsyncIterator[set[str]]:
    """A registry that knows the data sets and models of this set."""
    known: set[str] = set()
    table = Handlers[set[str]]()

    @table.on(registry.GET_DATASET)
    async def get_dataset(known: set[str], request: GetDataset) -> Dataset:
        if request.dataset_id not in known:
            raise Refused(RefusalCode.NOT_FOUND, "There is no such data set", {"dataset_id": request.dataset_id})
        analysis = DatasetAnalysis(
            rows=1, columns=["a"], column_types={}, text_column=None, stats=None, missing={}, duplicate_rows=0
        )
        return Dataset(
            dataset_id=request.dataset_id,
            filename="a.csv",
            format="csv",
            size_bytes=1,
            sha256="0",
            s3_path="s3://datasets/a.csv",
            rows=1,
            columns=["a"],
            analysis=analysis,
            created_at=datetime.now(UTC),
        )

    @table.on(registry.GET_MODEL)
    async def get_model(known: set[str], request: GetModel) -> Model:
        if request.model_id not in known:
            raise Refused(RefusalCode.NOT_FOUND, "There is no such model", {"model_id": request.model_id})
        return Model(
            model_id="model_1",
            run_id="run",
            model_name="name",
            description="",
            base_model="tiny",
            dataset_id=None,
            training_config={},
            metrics={},
            exports={},
            chat_template=None,
            created_at=datetime.now(UTC),
        )

    async with _bus(access_of, "registry") as bus:
        await bus.serve(table, known)
        yield known


@pytest.fixture
async def router(access_of: SettingsOf) -> AsyncIterator[Router]:
    """A router that answers as the test says."""
    known = Router()
    async with _bus(access_of, "llm_router", grace=0.1) as bus:
        await bus.serve(ANSWERS, known)
        yield known


FoundT = TypeVar("FoundT")


async def eventually(find: Callable[[], Awaitable[FoundT | None]], *, within: float = 10.0) -> FoundT:
    """What `find` finds, asked again and again for `within` seconds."""
    async with asyncio.timeout(within):
        while not (found := await find()):  # noqa: ASYNC110 - what it waits for happens in a database
            await asyncio.sleep(0.02)
    return found


def output(rows: int = 1) -> DatasetOutput:
    """A result, told from others by its number of rows."""
    return DatasetOutput(
        dataset_id=None, s3_path="s3://b/k", format="csv", rows=rows, columns=[], size_bytes=1, sha256="0"
    )


def definition(
    names: Sequence[str], edges: Sequence[tuple[str, str]] = (), *, run_id: str | None = None, max_retries: int = 1
) -> PipelineConfig:
    """A job of agents that need nothing but what `edges` say."""
    return PipelineConfig.model_validate(
        {
            "run_id": run_id,
            "nodes": [
                {"agent_name": name, "agent_class": "DatasetAgent", "config": {"file_path": "s3://datasets/a.csv"}}
                for name in names
            ],
            "edges": [{"from_agent": before, "to_agent": after} for before, after in edges],
            "global_config": {"max_retries": max_retries},
        }
    )


@dataclass(frozen=True)
class Jobs:
    """Submits jobs as a caller does."""

    bus: Bus

    async def submit(self, names: Sequence[str], edges: Sequence[tuple[str, str]] = (), **options: Any) -> JobAccepted:
        return await self.bus.ask(SUBMIT_JOB, SubmitJob(pipeline_config=definition(names, edges, **options)))


@pytest.fixture
def jobs(caller: Bus) -> Jobs:
    return Jobs(caller)


@dataclass(frozen=True)
class Worker:
    """A worker that claims, beats and finishes when a test says so."""

    bus: Bus
    name: str = "worker"

    async def claim(self, step_id: int | None = None) -> ClaimedStep | None:
        request = ClaimStep(worker_id=self.name, agent_classes=list(AGENT_CONFIGS), step_id=step_id)
        return (await self.bus.ask(CLAIM_STEP, request)).step

    async def take(self) -> ClaimedStep:
        """Claims a step that must be there."""
        step = await self.claim()
        assert step is not None, "there was nothing to claim"
        return step

    async def beat(self, *steps: ClaimedStep) -> list[str]:
        held = [HeldStep(step_id=step.step_id, fence=step.fence) for step in steps]
        reply = await self.bus.ask(BEAT_STEPS, BeatSteps(worker_id=self.name, steps=held))
        return [verdict.verdict for verdict in reply.verdicts]

    async def finish(self, step: ClaimedStep, result: Any) -> bool:
        request = FinishStep(step_id=step.step_id, fence=step.fence, result=result)
        return (await self.bus.ask(FINISH_STEP, request)).recorded

    async def succeed(self, step: ClaimedStep, rows: int = 1) -> bool:
        return await self.finish(step, StepSucceeded(output=output(rows)))

    async def fail(self, step: ClaimedStep, *, retryable: bool = False, code: str = "DATASET_ERROR") -> bool:
        return await self.finish(step, StepFailed(code=code, message="It broke", retryable=retryable))


@pytest.fixture
async def worker_bus(access_of: SettingsOf) -> AsyncIterator[Bus]:
    async with _bus(access_of, "trainer") as bus:
        yield bus


@pytest.fixture
def worker(worker_bus: Bus) -> Worker:
    return Worker(worker_bus)
