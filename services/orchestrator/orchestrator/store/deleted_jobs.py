"""Jobs that were deleted, and what is left of them to be removed."""

from collections.abc import Sequence
from datetime import datetime

from common.database import Connection
from orchestrator.domain.deletion import Deleted, Left
from orchestrator.domain.jobs import KIND
from orchestrator.domain.machine import Run

_LEASE = "interval '1 minute'"
"""So long whoever took what is left of a job has it alone; after a failure it is tried again then."""
_LATE = "interval '1 hour'"
"""After so long nothing of the job can come any more, neither an object of a worker that was cut off nor a line of its
log: the last look."""

_ENTER = f"""
    INSERT INTO deleted_jobs (run_id, owner, origins, quiet_at, next_at)
    SELECT run_id, owner, ARRAY(SELECT DISTINCT origin FROM reused_results WHERE run = runs.id),
        now() + make_interval(secs => $2), now() + {_LEASE}
    FROM runs WHERE id = $1
    RETURNING run_id, next_at
"""  # noqa: S608 - constants

_OLD = """
    SELECT run_id, finished_at FROM runs
    WHERE kind = $1 AND finished_at <= statement_timestamp() - make_interval(secs => $2)
        AND ($3::timestamptz IS NULL OR finished_at > $3)
        AND NOT EXISTS (
            SELECT FROM runs AS later
            WHERE later.kind = $1 AND later.status = 'active' AND later.options ->> 'resumes' = runs.run_id
        )
    ORDER BY finished_at LIMIT $4
"""

_TAKE = f"""
    UPDATE deleted_jobs SET next_at = statement_timestamp() + {_LEASE}
    WHERE run_id IN (
        SELECT run_id FROM deleted_jobs WHERE next_at <= statement_timestamp()
        ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING run_id, next_at
"""  # noqa: S608 - constants

# A moment that somebody else has set meanwhile stays: what is left is needed by fewer since.
_LOOKED = f"""
    UPDATE deleted_jobs SET
        pending = $3 OR quiet_at > clock.now,
        next_at = CASE
            WHEN next_at <> $2 THEN next_at
            WHEN $3 THEN clock.now + {_LEASE}
            WHEN quiet_at > clock.now THEN quiet_at
            WHEN deleted_at + {_LATE} > clock.now THEN deleted_at + {_LATE}
        END
    FROM (SELECT clock_timestamp() AS now) AS clock
    WHERE run_id = $1
"""  # noqa: S608 - constants

_WAKE = """
    UPDATE deleted_jobs SET next_at = least(next_at, statement_timestamp())
    WHERE run_id IN (
        SELECT run_id FROM deleted_jobs
        WHERE run_id = ANY (ARRAY(SELECT unnest(origins) FROM deleted_jobs WHERE run_id = $1))
        ORDER BY run_id FOR UPDATE
    )
"""


async def delete(connection: Connection, run: Run, *, quiet_after: float) -> Left:
    """Removes the run with its steps. For `quiet_after` seconds its workers may still write what they were at."""
    row = await connection.fetchrow(_ENTER, run.id, quiet_after)
    assert row is not None  # noqa: S101 - the run is locked
    await connection.execute("DELETE FROM runs WHERE id = $1", run.id)
    return Left(**row)


async def old(
    connection: Connection, *, seconds: float, after: datetime | None, limit: int
) -> list[tuple[str, datetime]]:
    """Runs of jobs that ended so long ago, and `after` that moment, the first to end first, and when they ended. Those
    that others go on from are left out."""
    rows = await connection.fetch(_OLD, KIND, seconds, after, limit)
    return [(row["run_id"], row["finished_at"]) for row in rows]


async def find(connection: Connection, run_id: str) -> Deleted | None:
    row = await connection.fetchrow(
        "SELECT run_id, owner, freed_bytes, pending FROM deleted_jobs WHERE run_id = $1", run_id
    )
    return None if row is None else Deleted(**row)


async def take(connection: Connection, limit: int) -> list[Left]:
    """Some of those of which something may be left to remove, for this caller alone."""
    return [Left(**row) for row in await connection.fetch(_TAKE, limit)]


async def wake_origins(connection: Connection, run_id: str) -> None:
    """What others have left of the job can go with it: they are due, once."""
    await connection.execute(_WAKE, run_id)
    await connection.execute("UPDATE deleted_jobs SET origins = '{}' WHERE run_id = $1 AND origins <> '{}'", run_id)


async def freed(connection: Connection, run_id: str, freed_bytes: int) -> None:
    """Notes how much is free by now. Answers that two have asked for may come in either order."""
    sql = "UPDATE deleted_jobs SET freed_bytes = greatest(freed_bytes, $2) WHERE run_id = $1"
    await connection.execute(sql, run_id, freed_bytes)


async def looked(connection: Connection, left: Left, *, pending: bool) -> None:
    """All that could go is gone; with `pending` there is some that will be able to."""
    await connection.execute(_LOOKED, left.run_id, left.next_at, pending)


async def to_forget(connection: Connection, limit: int) -> list[str]:
    """Runs whose results are still in somebody's memory, the oldest first."""
    rows = await connection.fetch(
        "SELECT run_id FROM deleted_jobs WHERE NOT forgotten ORDER BY deleted_at LIMIT $1", limit
    )
    return [row["run_id"] for row in rows]


async def forgotten(connection: Connection, run_ids: Sequence[str]) -> None:
    await connection.execute("UPDATE deleted_jobs SET forgotten = true WHERE run_id = ANY ($1::text[])", list(run_ids))
