"""The logs of runs, kept as they came through the LOGS stream."""

from collections.abc import Sequence

from common.database import Connection
from contracts.orchestrator import GetLogs, GetMetrics, LogEntry, LogRecord
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


_CHOSEN = """
    WHERE run_id = $1 AND ($2::text IS NULL OR record ->> 'level' = $2)
        AND ($3::text IS NULL OR record ->> 'agent' = $3 OR record ->> 'agent_name' = $3)
"""
_COUNT = "SELECT count(*) FROM logs {chosen}"
_PAGE = """
    SELECT sequence, record FROM logs {chosen} AND sequence > $4 AND sequence < $5 ORDER BY sequence {order} LIMIT $6
"""
_PAGES = {order: _PAGE.format(chosen=_CHOSEN, order=order) for order in ("asc", "desc")}

# Of a training step that was done again, after a crash or a pause, what was measured last.
_METRICS = """
    WITH measured AS (
        SELECT DISTINCT ON (agent, kind, step)
            coalesce(record ->> 'agent_name', record ->> 'agent') AS agent,
            record ? 'eval_loss' AS kind,
            (record ->> 'step')::bigint AS step,
            record
        FROM logs
        WHERE run_id = $1 AND record ->> 'level' = 'METRIC' AND record ? 'step'
            AND ($2::text IS NULL OR record ->> 'agent' = $2 OR record ->> 'agent_name' = $2)
        ORDER BY agent, kind, step, sequence DESC
    ),
    numbered AS (
        SELECT *, row_number() OVER series AS number, count(*) OVER (PARTITION BY agent, kind) AS total
        FROM measured WINDOW series AS (PARTITION BY agent, kind ORDER BY step)
    )
    SELECT record FROM numbered
    WHERE number IN (1, total) OR number * ($3 - 1) / total <> (number - 1) * ($3 - 1) / total
    ORDER BY agent, step, kind
"""


# Whoever asks often asks about few agents: each is looked up from the end of the log.
_LAST = """
    SELECT name, last.step, last.total FROM unnest($2::text[]) AS name, LATERAL (
        SELECT (record ->> 'step')::integer AS step, (record ->> 'total_steps')::integer AS total FROM logs
        WHERE run_id = $1 AND record ->> 'level' = 'METRIC' AND record ->> 'agent_name' = name
            AND record ? 'step' AND record ? 'total_steps'
        ORDER BY sequence DESC LIMIT 1
    ) AS last
"""


async def insert(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Keeps the entries; those that are kept already stay as they are."""
    records = [mended(entry.record.model_dump(mode="json", exclude_none=True)) for entry in entries]
    await connection.execute(
        _INSERT, [record["run_id"] for record in records], [entry.sequence for entry in entries], records
    )


async def page(connection: Connection, asked: GetLogs) -> list[LogEntry]:
    """What is asked for, and one more where there is more."""
    before = 2**63 - 1 if asked.before is None else asked.before
    rows = await connection.fetch(
        _PAGES[asked.order], asked.run_id, asked.level, asked.agent, asked.after, before, asked.limit + 1
    )
    return [LogEntry(sequence=row["sequence"], record=LogRecord.model_validate(row["record"])) for row in rows]


async def count(connection: Connection, asked: GetLogs) -> int:
    """All of that level and agent."""
    total: int = await connection.fetchval(_COUNT.format(chosen=_CHOSEN), asked.run_id, asked.level, asked.agent)
    return total


async def metrics(connection: Connection, asked: GetMetrics) -> list[LogRecord]:
    """The chosen ones, by agent and step."""
    rows = await connection.fetch(_METRICS, asked.run_id, asked.agent, asked.points)
    return [LogRecord.model_validate(row["record"]) for row in rows]


async def how_far(connection: Connection, run_id: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The last measured step, and of how many, of those agents that have measured one."""
    rows = await connection.fetch(_LAST, run_id, names)
    return {row["name"]: (row["step"], row["total"]) for row in rows}


async def delete_older(connection: Connection, *, seconds: float, limit: int) -> int:
    """Deletes up to `limit` entries that are older than that; how many."""
    tag = await connection.execute(_DELETE, seconds, limit)
    return int(tag.rsplit(" ", 1)[1])
