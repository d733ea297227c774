"""The logs of runs: kept in order and once, paged, and forgotten in time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.bus import Bus
from common.database import Connection, Database
from common.service import Service
from contracts.base import RefusalCode
from contracts.orchestrator import (
    GET_LOGS,
    GET_METRICS,
    LOG_RECORDED,
    GetLogs,
    GetMetrics,
    JobAccepted,
    LogEntry,
    LogLevel,
    LogPage,
    LogRecord,
    SubmitJob,
)
from orchestrator.deps import Deps
from orchestrator.domain.logs import fitting, kept
from orchestrator.engine.log_keeper import LogKeeper
from orchestrator.handlers.jobs import submit_job
from orchestrator.handlers.logs import get_logs
from orchestrator.store import logs

from .asking import refused
from .conftest import Jobs, Worker, definition, eventually

OF_R = GetLogs(run_id="r")


def line(run_id: str, message: str, *, loss: float | None = None) -> LogRecord:
    level: LogLevel = "INFO" if loss is None else "METRIC"
    return LogRecord(
        run_id=run_id, timestamp=datetime.now(UTC), agent="TrainingAgent", level=level, message=message, loss=loss
    )


async def log_of(bus: Bus, accepted: JobAccepted, *, lines: int) -> LogPage:
    """The log, once it has that many lines."""

    async def page() -> LogPage | None:
        found = await bus.ask(GET_LOGS, GetLogs(run_id=accepted.run_id))
        return found if found.total >= lines else None

    return await eventually(page)


async def test_the_life_of_a_job_is_logged(caller: Bus, jobs: Jobs, worker: Worker, service: Service) -> None:
    accepted = await jobs.submit(["a", "b"], [("a", "b")], max_retries=0)
    await worker.succeed(await worker.take())
    await worker.fail(await worker.take(), retryable=True)
    page = await log_of(caller, accepted, lines=6)
    records = [entry.record for entry in page.entries]
    assert [(record.level, record.message) for record in records] == [
        ("INFO", "Job queued: 2 agents"),
        ("INFO", "a (DatasetAgent) started, attempt 1 of 1"),
        ("INFO", "a completed"),
        ("INFO", "b (DatasetAgent) started, attempt 1 of 1"),
        ("ERROR", "b failed: It broke (DATASET_ERROR)"),
        ("ERROR", "Job failed"),
    ]
    assert {record.agent for record in records} == {"Orchestrator"}


async def test_a_retry_says_why_and_when(caller: Bus, jobs: Jobs, worker: Worker, service: Service) -> None:
    accepted = await jobs.submit(["a"], max_retries=3)
    await worker.fail(await worker.take(), retryable=True)
    page = await log_of(caller, accepted, lines=3)
    last = page.entries[-1].record
    assert last.level == "WARN"
    assert last.message.startswith("a failed: It broke (DATASET_ERROR); attempt 2 of 4 in 0.")


async def test_lines_of_workers_are_kept_and_paged(caller: Bus, jobs: Jobs, worker_bus: Bus, service: Service) -> None:
    accepted = await jobs.submit(["a"])
    run_id = accepted.run_id
    await log_of(caller, accepted, lines=1)
    await worker_bus.publish_many(
        LOG_RECORDED, [(run_id, f"{run_id}.{i}", line(run_id, f"line {i}", loss=i / 10)) for i in range(30)]
    )
    first = await log_of(caller, accepted, lines=31)
    assert [entry.sequence for entry in first.entries] == sorted(entry.sequence for entry in first.entries)
    page = await caller.ask(GET_LOGS, GetLogs(run_id=run_id, limit=10, after=first.entries[20].sequence))
    assert page.entries == first.entries[21:]
    assert page.total == 31
    assert page.entries[-1].record.loss == 2.9


async def test_the_log_of_no_run_is_not_found(caller: Bus, service: Service) -> None:
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(GET_LOGS, GetLogs(run_id="nobody"))


async def test_a_line_that_comes_twice_is_kept_once(database: Database) -> None:
    entries = [LogEntry(sequence=7, record=line("r", "a")), LogEntry(sequence=8, record=line("r", "b"))]
    async with database.connection() as connection:
        await logs.insert(connection, entries[:1])
        await logs.insert(connection, [*entries, LogEntry(sequence=9, record=line("s", "c", loss=1.0))])
        assert await logs.count(connection, OF_R) == 2
        assert await logs.page(connection, OF_R, 2) == entries


async def test_a_log_is_read_by_level_agent_and_from_either_end(
    caller: Bus, jobs: Jobs, database: Database, service: Service
) -> None:
    run_id = (await jobs.submit(["a"])).run_id
    await log_of(caller, JobAccepted(job_id="", run_id=run_id, status="pending", created_at=datetime.now(UTC)), lines=1)
    records = [
        line(run_id, "0"),
        line(run_id, "1", loss=1.0).model_copy(update={"agent_name": "training-1"}),
        line(run_id, "2", loss=2.0).model_copy(update={"agent_name": "training-2"}),
        line(run_id, "3").model_copy(update={"agent": "DatasetAgent"}),
    ]
    first = 10**9
    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=first + n, record=one) for n, one in enumerate(records)])

    async def messages(**asked: Any) -> list[str]:
        page = await caller.ask(GET_LOGS, GetLogs(run_id=run_id, **asked))
        return [entry.record.message for entry in page.entries if entry.sequence >= first]

    assert await messages(level="METRIC") == ["1", "2"]
    assert await messages(level="METRIC", agent="training-2") == ["2"]
    assert await messages(agent="TrainingAgent") == ["0", "1", "2"]
    assert await messages(agent="training-2") == ["2"]
    assert await messages(agent="") == await messages(level="WARN") == []
    assert await messages(order="desc", limit=2) == ["3", "2"]
    assert await messages(order="desc", before=first + 2, level="METRIC") == ["1"]
    page = await caller.ask(GET_LOGS, GetLogs(run_id=run_id, level="METRIC", limit=1))
    assert (page.total, page.has_more) == (2, True)
    page = await caller.ask(GET_LOGS, GetLogs(run_id=run_id, level="METRIC", after=first + 1))
    assert (page.total, page.has_more, len(page.entries)) == (2, False, 1)


async def test_measurements_are_thinned_out_and_count_once_by_step(
    caller: Bus, jobs: Jobs, database: Database, service: Service
) -> None:
    run_id = (await jobs.submit(["a"])).run_id
    done = [("training-1", n, {"loss": 1 / n}) for n in range(1, 101)]
    # A worker died after step 50, and another went on from step 40.
    done += [("training-2", n, {"loss": 1.0}) for n in range(1, 51)]
    done += [("training-2", n, {"loss": 2.0}) for n in range(41, 61)]
    done += [("training-2", 60, {"eval_loss": 3.0})]
    entries = [
        LogEntry(
            sequence=sequence,
            record=line(run_id, "", loss=0.0).model_copy(
                update={"agent_name": name, "step": step, "loss": None, **numbers}
            ),
        )
        for sequence, (name, step, numbers) in enumerate(done, start=10**9)
    ]
    async with database.connection() as connection:
        await logs.insert(connection, entries)
    first, second = (await caller.ask(GET_METRICS, GetMetrics(run_id=run_id))).series
    assert (first.agent, first.agent_name, len(first.points)) == ("TrainingAgent", "training-1", 100)
    assert first.points[9] == {"step": 10, "loss": 0.1}
    assert [point["loss"] for point in second.points if "loss" in point] == [1.0] * 40 + [2.0] * 20
    assert second.points[-1] == {"step": 60, "eval_loss": 3.0}

    (few,) = (await caller.ask(GET_METRICS, GetMetrics(run_id=run_id, agent="training-1", points=10))).series
    steps = [point["step"] for point in few.points]
    assert (steps[0], steps[-1]) == (1, 100)
    assert 9 <= len(steps) <= 11
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(GET_METRICS, GetMetrics(run_id="nobody"))


async def test_a_line_that_postgres_would_not_take_does_not_hold_up_the_others(database: Database) -> None:
    odd = line("r", "b", loss=1.0).model_copy(update={"agent_name": "a", "step": 10**400, "total_steps": -(2**63)})
    lines = [line("r", "a\0b"), odd, line("r", "c")]
    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=n, record=kept(one)) for n, one in enumerate(lines, start=1)])
        records = [entry.record for entry in await logs.page(connection, OF_R, 3)]
        assert await logs.how_far(connection, [("r", "a")]) == {}
    assert [(record.message, record.step) for record in records] == [
        ("a\N{REPLACEMENT CHARACTER}b", None),
        ("b", None),
        ("c", None),
    ]


async def test_a_line_that_comes_while_a_page_is_read_hides_no_other(
    deps: Deps, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = (await submit_job(deps, SubmitJob(pipeline_config=definition(["a"])))).run_id
    counted = logs.count

    async def count_and_write(connection: Connection, asked: GetLogs) -> int:
        total = await counted(connection, asked)
        async with database.connection() as another:
            await logs.insert(another, [LogEntry(sequence=3, record=line(run_id, "late"))])
        return total

    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=n, record=line(run_id, str(n))) for n in (1, 2)])
    monkeypatch.setattr(logs, "count", count_and_write)
    page = await get_logs(deps, GetLogs(run_id=run_id, order="desc"))
    assert ([entry.record.message for entry in page.entries], page.total, page.has_more) == (["2", "1"], 2, False)


async def test_old_lines_are_deleted(database: Database, worker_bus: Bus) -> None:
    keeper = LogKeeper(database, worker_bus, retention=3600)
    async with database.connection() as connection:
        await logs.insert(connection, [LogEntry(sequence=i, record=line("r", str(i))) for i in range(10)])
        await connection.execute("UPDATE logs SET recorded_at = recorded_at - interval '2 hours' WHERE sequence < 7")
        assert await keeper.delete_old() == 7
        assert await logs.count(connection, OF_R) == 3
        await connection.execute("DELETE FROM logs")
        assert await connection.fetchval("SELECT count(*) FROM log_counts") == 0


def test_a_page_is_never_larger_than_the_bus_takes() -> None:
    entries = [LogEntry(sequence=i, record=kept(line("r", "x" * 100_000))) for i in range(1000)]
    assert len(entries[0].record.message) == 16_000
    page = list(fitting(entries))
    assert 20 < len(page) < 40
    assert len(LogPage(run_id="r", entries=page, total=1000).model_dump_json()) < 1 << 20
