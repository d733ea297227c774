"""Our engine: the orchestrator's store, state machine and step worker in one process. Its steps answer at once."""

import asyncio
import json
import secrets
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import uvloop

from common.bus import Bus
from common.database import Database
from common.outbox import OutboxRelay
from orchestrator.deps import Deps
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.records import Claim, Submission
from orchestrator.engine.step_worker import StepWorker
from orchestrator.settings import Settings
from orchestrator.store import runs

Kind = Literal["lone", "crowd", "queued"]
KIND = "Instant"
STEPS = 3
_OWNERS = 8
_STARTING = 16
_PLAN = Plan(
    steps=tuple(
        PlannedStep(f"step {i}", KIND, {}, (i - 1,) if i else (), tuple(range(i - 1, -1, -1))) for i in range(STEPS)
    ),
    max_attempts=3,
    timeout_seconds=60.0,
    dataset_ids=frozenset(),
)


@dataclass(frozen=True)
class Job:
    """What to measure: `lone` runs one after another, `runs` of which `in_flight` are open at once, or `queued` whole
    before the worker starts, which then does `in_flight` steps at once."""

    kind: Kind
    runs: int
    in_flight: int


@dataclass(frozen=True)
class Seen:
    """`seconds` are those of the measured part; `p50` and `p95` of single runs, where they were one after another."""

    seconds: float
    p50: float = 0.0
    p95: float = 0.0


class Runs:
    """Starts runs, at most `in_flight` at once, and knows when they have ended."""

    def __init__(self, deps: Deps, in_flight: int) -> None:
        self._deps = deps
        self._room = asyncio.Semaphore(in_flight)
        self._last_steps = 0

    async def step(self, _: Deps, claim: Claim) -> dict[str, Any]:
        """Answers at once."""
        if len(claim.inputs) == STEPS - 1:
            self._last_steps += 1
            self._room.release()
        return {"text": claim.name}

    async def start(self, number: int) -> str:
        await self._room.acquire()
        submission = Submission(
            kind="bench",
            run_id=secrets.token_hex(8),
            owner=f"owner {number % _OWNERS}",
            idempotency_key=None,
            definition={"number": number},
            options={},
            traceparent=None,
        )
        async with self._deps.database.connection() as connection:
            await runs.insert(connection, submission, _PLAN, hint_pause=None)
        self._deps.steps_ready.set()
        return submission.run_id

    async def start_all(self, number: int) -> None:
        numbers = iter(range(number))

        async def starting() -> None:
            for one in numbers:
                await self.start(one)

        await asyncio.gather(*(starting() for _ in range(_STARTING)))

    async def end_of(self, run_id: str) -> None:
        await self._until("SELECT status <> 'active' FROM runs WHERE run_id = $1", run_id)

    async def end_of_all(self, number: int) -> None:
        while self._last_steps < number:  # noqa: ASYNC110 - an event would cost the measured part more
            await asyncio.sleep(0.005)
        await self._until("SELECT NOT EXISTS (SELECT FROM runs WHERE status = 'active')")

    async def _until(self, sql: str, *arguments: Any) -> None:
        async with self._deps.database.connection() as connection:
            while not await connection.fetchval(sql, *arguments):
                pass


async def measure(job: Job) -> Seen:
    """The servers are those that the environment names."""
    settings = Settings()
    url = settings.database_url.get_secret_value()
    database = await Database.connect(url, "orchestrator", plan_once=True)
    await database.migrate("orchestrator")
    bus = await Bus.connect(settings, "orchestrator")
    deps = Deps(database, bus, OutboxRelay(database, bus), settings.policy)
    try:
        return await _measured(deps, job)
    finally:
        await bus.close()
        await database.close()


async def _measured(deps: Deps, job: Job) -> Seen:
    measured = Runs(deps, job.runs if job.kind == "queued" else job.in_flight)
    if job.kind == "queued":
        await measured.start_all(job.runs)
    working = asyncio.create_task(StepWorker(deps, {KIND: measured.step}, concurrency=job.in_flight).run())
    try:
        if job.kind == "lone":
            return await _lone(measured, job.runs)
        began = time.perf_counter()
        if job.kind == "crowd":
            await measured.start_all(job.runs)
        await measured.end_of_all(job.runs)
        return Seen(time.perf_counter() - began)
    finally:
        working.cancel()
        await asyncio.wait({working})


async def _lone(measured: Runs, number: int) -> Seen:
    seconds = []
    for one in range(number):
        began = time.perf_counter()
        await measured.end_of(await measured.start(one))
        seconds.append(time.perf_counter() - began)
    return Seen(sum(seconds), statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(measure(Job(**json.loads(sys.argv[1])))))))
