"""The logs of runs, kept as they came through the LOGS stream."""

from collections.abc import Sequence

from common.database import Connection
from contracts.orchestrator import GetLogs, GetMetrics, LogEntry, LogRecord
from orchestrator.domain.jobs import HowFar
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

_DELETE_OF = """
    DELETE FROM logs WHERE run_id = $1 AND sequence = ANY (ARRAY(
        SELECT sequence FROM logs WHERE run_id = $1 ORDER BY sequence LIMIT $2
    ))
"""

_COUNT = """
    SELECT coalesce(sum(lines), 0)::bigint FROM log_counts
    WHERE run_id = $1 AND ($2::text IS NULL OR level = $2)
        AND ($3::text IS NULL OR agent = $3 OR nullif(agent_name, '') = $3)
"""
_PAGE = """
    SELECT sequence, record FROM logs
    WHERE run_id = $1 AND sequence > $2 AND sequence < $3 {chosen} ORDER BY sequence {order} LIMIT $4
"""
_OF_LEVEL = "AND record ->> 'level' = $5"
_OF_AGENT = "AND (record ->> 'agent' = ${place} OR record ->> 'agent_name' = ${place})"

# Of a training step that was done again, after a crash or a pause, what was measured last. What is chosen is looked up
# once more: to sort whole records takes several times as long.
_METRICS = """
    WITH measured AS (
        SELECT DISTINCT ON (agent, kind, step)
            coalesce(record ->> 'agent_name', record ->> 'agent') AS agent,
            record ? 'eval_loss' AS kind,
            (record ->> 'step')::float8 AS step,
            sequence
        FROM logs
        WHERE run_id = $1 AND record ->> 'level' = 'METRIC' AND record ? 'step'
            AND ($2::text IS NULL OR record ->> 'agent' = $2 OR record ->> 'agent_name' = $2)
        ORDER BY agent, kind, step, sequence DESC
    ),
    numbered AS (
        SELECT *, row_number() OVER series AS number, count(*) OVER (PARTITION BY agent, kind) AS total
        FROM measured WINDOW series AS (PARTITION BY agent, kind ORDER BY step)
    )
    SELECT record FROM numbered JOIN logs USING (sequence)
    WHERE run_id = $1 AND (number IN (1, total) OR number * ($3 - 1) / total <> (number - 1) * ($3 - 1) / total)
    ORDER BY agent, step, kind
"""


# Whoever asks often asks about few agents: each is looked up from the end of the log. The pace is the median of what
# the last steps took, which neither a pause nor the time between two attempts disturbs. A line is anybody's text: as
# floats its numbers may be of any size.
_HOW_FAR = """
    SELECT training.run_id, training.name, said.step, said.total, said.pace, (
        SELECT coalesce(max(furthest), 0) FROM log_counts
        WHERE log_counts.run_id = training.run_id AND level = 'METRIC' AND agent_name = training.name
    ) AS furthest
    FROM unnest($1::text[], $2::text[]) AS training (run_id, name), LATERAL (
        SELECT
            (array_agg(step ORDER BY sequence DESC))[1] AS step,
            (array_agg(total ORDER BY sequence DESC))[1] AS total,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds / steps) FILTER (WHERE steps > 0) AS pace
        FROM (
            SELECT sequence, step, total, step - lag(step) OVER log AS steps,
                extract(epoch FROM at - lag(at) OVER log)::float8 AS seconds
            FROM (
                SELECT sequence, (record ->> 'step')::float8 AS step, (record ->> 'total_steps')::float8 AS total,
                    (record ->> 'timestamp')::timestamptz AS at
                FROM logs
                WHERE run_id = training.run_id AND record ->> 'level' = 'METRIC'
                    AND record ->> 'agent_name' = training.name AND record ? 'step' AND record ? 'total_steps'
                ORDER BY sequence DESC LIMIT 11
            ) AS newest
            WINDOW log AS (ORDER BY sequence)
        ) AS measured
        HAVING count(*) > 0
    ) AS said
"""


async def insert(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Keeps the entries; those that are kept already stay as they are."""
    records = [mended(entry.record.model_dump(mode="json", exclude_none=True)) for entry in entries]
    await connection.execute(
        _INSERT, [record["run_id"] for record in records], [entry.sequence for entry in entries], records
    )


async def page(connection: Connection, asked: GetLogs, total: int) -> list[LogEntry]:
    """What is asked for, and one more where there is more. No more is looked for than the `total` that there are."""
    most = min(asked.limit + 1, total)
    if most == 0:
        return []
    before = 2**63 - 1 if asked.before is None else asked.before
    # Each filter that is left out is left out of the question too, or no index would answer it.
    filters = [value for value in (asked.level, asked.agent) if value is not None]
    of_agent = _OF_AGENT.format(place=4 + len(filters))
    chosen = f"{_OF_LEVEL if asked.level is not None else ''} {of_agent if asked.agent is not None else ''}"
    sql = _PAGE.format(chosen=chosen, order=asked.order)
    rows = await connection.fetch(sql, asked.run_id, asked.after, before, most, *filters)
    return [LogEntry(sequence=row["sequence"], record=LogRecord.model_validate(row["record"])) for row in rows]


async def count(connection: Connection, asked: GetLogs) -> int:
    """All of that level and agent."""
    total: int = await connection.fetchval(_COUNT, asked.run_id, asked.level, asked.agent)
    return total


async def metrics(connection: Connection, asked: GetMetrics) -> list[LogRecord]:
    """The chosen ones, by agent and step."""
    rows = await connection.fetch(_METRICS, asked.run_id, asked.agent, asked.points)
    return [LogRecord.model_validate(row["record"]) for row in rows]


async def how_far(connection: Connection, training: Sequence[tuple[str, str]]) -> dict[tuple[str, str], HowFar]:
    """Of those agents, by run and name, that have measured a step."""
    if not training:
        return {}
    rows = await connection.fetch(_HOW_FAR, *map(list, zip(*training, strict=True)))
    return {
        (row["run_id"], row["name"]): HowFar(int(row["step"]), int(row["total"]), row["pace"], row["furthest"])
        for row in rows
    }


async def delete_older(connection: Connection, *, seconds: float, limit: int) -> int:
    """Deletes up to `limit` entries that are older than that; how many."""
    tag = await connection.execute(_DELETE, seconds, limit)
    return int(tag.rsplit(" ", 1)[1])


async def delete_of(connection: Connection, run_id: str, *, limit: int) -> int:
    """Deletes up to `limit` entries of a run; how many."""
    tag = await connection.execute(_DELETE_OF, run_id, limit)
    return int(tag.rsplit(" ", 1)[1])
