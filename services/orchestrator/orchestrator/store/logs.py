"""The logs of runs, kept as they came through the LOGS stream."""

from collections.abc import Sequence

from common.database import Connection
from contracts.orchestrator import LogEntry, LogRecord
from orchestrator.domain.storable import mended

_INSERT = """
    INSERT INTO logs (run_id, sequence, record)
    SELECT run_id, sequence, record FROM unnest($1::text[], $2::bigint[], $3::jsonb[]) AS log (run_id, sequence, record)
    ON CONFLICT DO NOTHING
"""

_DELETE = """
    DELETE FROM logs WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM logs WHERE recorded_at < statement_timestamp() - make_interval(secs => $1) LIMIT $2
    ))
"""


async def insert(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Keeps the entries; those that are kept already stay as they are."""
    records = [mended(entry.record.model_dump(mode="json", exclude_none=True)) for entry in entries]
    await connection.execute(
        _INSERT, [record["run_id"] for record in records], [entry.sequence for entry in entries], records
    )


async def page(connection: Connection, run_id: str, *, after: int, limit: int) -> list[LogEntry]:
    """The oldest entries of a run after sequence `after`."""
    rows = await connection.fetch(
        "SELECT sequence, record FROM logs WHERE run_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        run_id,
        after,
        limit,
    )
    return [LogEntry(sequence=row["sequence"], record=LogRecord.model_validate(row["record"])) for row in rows]


async def count(connection: Connection, run_id: str) -> int:
    total: int = await connection.fetchval("SELECT count(*) FROM logs WHERE run_id = $1", run_id)
    return total


async def delete_older(connection: Connection, *, seconds: float, limit: int) -> int:
    """Deletes up to `limit` entries that are older than that; how many."""
    tag = await connection.execute(_DELETE, seconds, limit)
    return int(tag.rsplit(" ", 1)[1])
