"""The database, looked at all the time and read to the end: what is recorded, and what is left undone."""

import asyncio
import hashlib
import time
from contextlib import suppress
from typing import Any

import asyncpg
import orjson

from tests.chaos.engine import tag_of
from tests.chaos.history import ENDED, Bill, History, JobRow, JobStep, RunRow, Sight, StepRow, StepSight

_LOOK_SECONDS = 0.5
_SETTLING_SECONDS = 60.0
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
"""What says that Postgres is away."""

_STATES = """
    SELECT workflow_runs.id, runs.status FROM orchestrator.runs JOIN orchestrator.workflow_runs ON run = runs.id
"""
_STEP_STATES = "SELECT id, status, output::text AS output FROM orchestrator.steps WHERE finished_at IS NOT NULL"
_RUNS = """
    SELECT runs.id AS number, workflow_runs.id, runs.idempotency_key, workflow_runs.inputs, runs.status,
        runs.error::text AS error,
        runs.definition -> 'payloads' AS payloads
    FROM orchestrator.runs JOIN orchestrator.workflow_runs ON run = runs.id ORDER BY runs.id
"""
_STEPS = """
    SELECT run, id, position, name, status, needs, output, started_at, part_of IS NOT NULL AS is_part
    FROM orchestrator.steps ORDER BY run, position
"""
_JOBS = """
    SELECT runs.id, runs.run_id, runs.status, coalesce(runs.idempotency_key, tasks.idempotency_key) AS key
    FROM orchestrator.runs LEFT JOIN orchestrator.tasks ON tasks.run = runs.id
    WHERE kind IN ('job', 'task') ORDER BY runs.id
"""
_BILLS = """
    SELECT interaction_id, input_text, status FROM llm_router.interactions
    WHERE status IN ('completed', 'cancelled') AND route IN ('workflow', 'task')
"""
_LEFT = {
    "steps that go on in a run that has ended": """
        SELECT count(*) FROM orchestrator.steps JOIN orchestrator.runs ON runs.id = run
        WHERE runs.status <> 'active' AND steps.finished_at IS NULL
    """,
    "runs that go on": "SELECT count(*) FROM orchestrator.runs WHERE status = 'active'",
    "starts of schedules that are late": """
        SELECT count(*) FROM orchestrator.schedules WHERE next_at < clock_timestamp() OR waiting_at IS NOT NULL
    """,
    "rows in the outbox": "SELECT count(*) FROM orchestrator.outbox",
    "completions that are still being made": """
        SELECT count(*) FROM llm_router.kept_completions WHERE reply IS NULL AND held_until > clock_timestamp()
    """,
}


class Ledger:
    """Reads as the administrator of Postgres, over a connection that comes back."""

    def __init__(self, url: str, history: History) -> None:
        self._url = url
        self._history = history
        self._runs: dict[int, str] = {}
        self._steps: dict[int, tuple[str, str]] = {}

    async def watch(self) -> None:
        """Writes down every change that it sees, until cancelled."""
        while True:
            with suppress(*AWAY):
                connection = await asyncpg.connect(self._url, timeout=5, command_timeout=10)
                try:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(_LOOK_SECONDS)
                finally:
                    connection.terminate()
            await asyncio.sleep(_LOOK_SECONDS)

    async def settle(self) -> None:
        """Waits until nothing is left to do, at most for a minute."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING_SECONDS):
                while any((await self._left()).values()):  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(_LOOK_SECONDS)

    async def read(self) -> None:
        """Everything, into the history."""
        history = self._history
        connection = await asyncpg.connect(self._url)
        try:
            await self._look(connection)
            steps: dict[int, list[asyncpg.Record]] = {}
            for row in await connection.fetch(_STEPS):
                steps.setdefault(row["run"], []).append(row)
            history.runs = [_run(row, steps.get(row["number"], [])) for row in await connection.fetch(_RUNS)]
            history.jobs = [_job(row, steps.get(row["id"], [])) for row in await connection.fetch(_JOBS)]
            history.bills = [
                Bill(row["interaction_id"], tag_of(row["input_text"]), row["status"] == "completed")
                for row in await connection.fetch(_BILLS)
            ]
        finally:
            await connection.close()
        history.left = await self._left()

    async def _left(self) -> dict[str, int]:
        connection = await asyncpg.connect(self._url)
        try:
            return {what: await connection.fetchval(question) for what, question in _LEFT.items()}
        finally:
            await connection.close()

    async def _look(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        at = time.time()
        for row in await connection.fetch(_STATES):
            if self._runs.get(row["id"]) != row["status"]:
                self._runs[row["id"]] = row["status"]
                self._history.sights.append(Sight("database", row["id"], row["status"], at))
        for row in await connection.fetch(_STEP_STATES):
            digest = hashlib.sha256((row["output"] or "").encode()).hexdigest()
            if self._steps.get(row["id"]) != (row["status"], digest):
                self._steps[row["id"]] = (row["status"], digest)
                self._history.step_sights.append(StepSight(row["id"], row["status"], digest))


def _run(row: asyncpg.Record, steps: list[asyncpg.Record]) -> RunRow:
    payloads = orjson.loads(row["payloads"])
    status = row["status"] if row["status"] in ENDED else "active"
    tag = orjson.loads(row["inputs"])["tag"]
    # The items of a list are steps of their own, behind those of the payloads.
    found = tuple(_step(step, payloads[step["position"]]["payload_id"]) for step in steps if not step["is_part"])
    return RunRow(row["id"], row["idempotency_key"], tag, status, found, row["error"])


def _step(row: asyncpg.Record, payload_id: int) -> StepRow:
    output: dict[str, Any] = orjson.loads(row["output"]) if row["output"] is not None else {}
    metadata = output.get("metadata", {})
    return StepRow(
        position=row["position"],
        payload_id=payload_id,
        name=row["name"],
        status=row["status"],
        needs=tuple(row["needs"]),
        content=output.get("content"),
        prompt=output.get("prompt"),
        kept=bool(metadata.get("kept")),
        started_at=None if row["started_at"] is None else row["started_at"].timestamp(),
    )


def _job(row: asyncpg.Record, steps: list[asyncpg.Record]) -> JobRow:
    found = []
    for step in steps:
        output: dict[str, Any] = {} if step["output"] is None else orjson.loads(step["output"])
        found.append(JobStep(step["id"], step["status"], output.get("rows"), output.get("text")))
    return JobRow(row["run_id"], row["key"], row["status"], tuple(found))
