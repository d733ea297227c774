"""Schedules of workflows. Those of a deleted workflow are never due."""

from datetime import datetime

from common.database import Connection, Record
from contracts.triggers import Schedule
from orchestrator.domain.workflows.schedules import Decision, DueSchedule, ScheduleSettings

_COLUMNS = """
    id, workflow AS workflow_id, cron, time_zone, inputs, overlap, enabled, owner, next_at, last_at, last_run, error,
    created_at, updated_at
"""
_GET = f"SELECT {_COLUMNS} FROM schedules WHERE workflow = $1 AND id = $2"  # noqa: S608 - constants
_PAGE = f"SELECT {_COLUMNS} FROM schedules WHERE workflow = $1 ORDER BY id LIMIT $2 OFFSET $3"  # noqa: S608
_INSERT = f"""
    INSERT INTO schedules (workflow, owner, cron, time_zone, inputs, overlap, enabled, next_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}
"""  # noqa: S608
_UPDATE = f"""
    UPDATE schedules SET cron = $2, time_zone = $3, inputs = $4, overlap = $5, enabled = $6,
        next_at = CASE WHEN $7 THEN $8 ELSE next_at END,
        waiting_at = CASE WHEN $6 AND $5 = 'queue' THEN waiting_at END, error = NULL, updated_at = now()
    WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
_IS_BUSY = """
    EXISTS (
        SELECT FROM workflow_runs JOIN runs ON runs.id = workflow_runs.run
        WHERE workflow_runs.id = schedules.last_run AND runs.status = 'active'
    )
"""
_IS_DUE = f"""
    enabled AND (next_at <= $1 OR (waiting_at IS NOT NULL AND NOT {_IS_BUSY}))
    AND EXISTS (SELECT FROM workflows WHERE workflows.id = schedules.workflow AND deleted_at IS NULL)
"""
_DUE = f"SELECT id, owner FROM schedules WHERE {_IS_DUE} ORDER BY next_at LIMIT $2"  # noqa: S608
_CLAIM = f"""
    SELECT id, workflow AS workflow_id, owner, cron, time_zone, inputs, overlap, next_at, waiting_at,
        {_IS_BUSY} AS is_busy
    FROM schedules WHERE id = $2 AND {_IS_DUE} FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_RECORD = """
    UPDATE schedules SET next_at = $2, waiting_at = $3, last_at = coalesce($4, last_at),
        last_run = CASE WHEN $4 IS NULL OR $5::bigint IS NULL THEN last_run ELSE $5 END,
        error = CASE WHEN $4 IS NULL THEN error ELSE $6 END
    WHERE id = $1
"""
_DISABLE = "UPDATE schedules SET enabled = false, next_at = NULL, waiting_at = NULL, error = $2 WHERE id = $1"


async def insert(
    connection: Connection, workflow_id: int, owner: str, settings: ScheduleSettings, next_at: datetime | None
) -> Schedule:
    row = await connection.fetchrow(_INSERT, workflow_id, owner, *_values(settings), next_at)
    return _schedule(row)


async def get(connection: Connection, workflow_id: int, schedule_id: int, *, lock: bool = False) -> Schedule | None:
    row = await connection.fetchrow(_GET + (" FOR UPDATE" if lock else ""), workflow_id, schedule_id)
    return None if row is None else _schedule(row)


async def page(connection: Connection, workflow_id: int, *, limit: int, offset: int) -> tuple[list[Schedule], int]:
    """By id, and how many there are."""
    rows = await connection.fetch(_PAGE, workflow_id, limit, offset)
    return [_schedule(row) for row in rows], await count(connection, workflow_id)


async def count(connection: Connection, workflow_id: int) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM schedules WHERE workflow = $1", workflow_id)
    return found


async def update(
    connection: Connection, schedule_id: int, settings: ScheduleSettings, *, retimed: bool, next_at: datetime | None
) -> Schedule:
    """`next_at` counts where it is `retimed`."""
    return _schedule(await connection.fetchrow(_UPDATE, schedule_id, *_values(settings), retimed, next_at))


async def delete(connection: Connection, schedule_id: int) -> None:
    await connection.execute("DELETE FROM schedules WHERE id = $1", schedule_id)


async def due(connection: Connection, now: datetime, limit: int) -> list[tuple[int, str]]:
    """Ids and owners of schedules with something to do, those that have waited longest first."""
    return [(row["id"], row["owner"]) for row in await connection.fetch(_DUE, now, limit)]


async def claim(connection: Connection, schedule_id: int, now: datetime) -> DueSchedule | None:
    """The schedule, which nobody else starts until the transaction ends; None where it is not due any more or another
    replica has it."""
    row = await connection.fetchrow(_CLAIM, now, schedule_id)
    return None if row is None else DueSchedule(**row)


async def record(
    connection: Connection, schedule_id: int, decision: Decision, *, run_id: int | None, error: str | None
) -> None:
    """What has become of a claimed schedule."""
    await connection.execute(_RECORD, schedule_id, decision.next_at, decision.waiting_at, decision.start, run_id, error)


async def disable(connection: Connection, schedule_id: int, error: str) -> None:
    await connection.execute(_DISABLE, schedule_id, error)


def _values(settings: ScheduleSettings) -> tuple[object, ...]:
    return settings.cron, settings.time_zone, settings.inputs, settings.overlap, settings.enabled


def _schedule(row: Record | None) -> Schedule:
    assert row is not None  # noqa: S101 - there, or just written
    return Schedule.model_validate(dict(row))
