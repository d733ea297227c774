"""Runs of actions: entered, kept under a lease, ended once, looked up."""

from collections.abc import Sequence
from typing import Any

from common.database import Connection
from orchestrator.domain.actions.records import ActionRunRecord, Ended, NewRun

_SELECT = """
    SELECT action_runs.id, action_runs.action AS action_id, action_runs.post_id, versions.version,
        action_runs.input_data, action_runs.input_text, action_runs.model, action_runs.status,
        action_runs.output_data, action_runs.output_text, action_runs.error, action_runs.tokens_used,
        action_runs.execution_time, action_runs.simulated, action_runs.created_at, action_runs.updated_at
    FROM action_runs JOIN prompt_versions AS versions ON versions.id = action_runs.prompt_version
"""
_PAGE = """
    JOIN (
        SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS before
        FROM (
            SELECT id, octet_length(input_text) + octet_length(output_text) AS size
            FROM action_runs WHERE action = $1 ORDER BY id DESC LIMIT $2 OFFSET $3
        ) AS sized
    ) AS page ON page.id = action_runs.id
    WHERE page.before < $4 ORDER BY action_runs.id DESC
"""
_MOST_BYTES = 4_000_000
_INSERT = """
    INSERT INTO action_runs
        (action, prompt_version, post_id, owner, idempotency_key, input_data, input_text, model, lease_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9))
    RETURNING id
"""
_END = """
    UPDATE action_runs SET status = CASE WHEN $3::jsonb IS NULL THEN 'failed' ELSE 'completed' END, lease_until = NULL,
        model = $2, output_data = $3, output_text = $4, error = $5, tokens_used = $6, execution_time = $7,
        simulated = $8, updated_at = clock_timestamp()
    WHERE id = $1 AND status = 'running'
"""
_BEAT = """
    WITH locked AS MATERIALIZED (
        SELECT id FROM action_runs WHERE id = ANY ($1::bigint[]) AND status = 'running' ORDER BY id FOR UPDATE
    )
    UPDATE action_runs SET lease_until = clock_timestamp() + make_interval(secs => $2)
    FROM locked WHERE action_runs.id = locked.id RETURNING action_runs.id
"""
_END_SILENT = """
    WITH silent AS MATERIALIZED (
        SELECT id FROM action_runs WHERE status = 'running' AND lease_until <= statement_timestamp()
        ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE action_runs SET status = 'failed', error = $1, lease_until = NULL, updated_at = clock_timestamp(),
        execution_time = extract(epoch FROM clock_timestamp() - action_runs.created_at)
    FROM silent WHERE action_runs.id = silent.id RETURNING action_runs.id
"""


async def insert(connection: Connection, run: NewRun, *, lease: float) -> int:
    """The id of a run that has just begun, under a lease of so many seconds.

    Raises `UniqueViolation` when the owner has used the key for this action already.
    """
    run_id: int = await connection.fetchval(
        _INSERT,
        run.action_id,
        run.version_id,
        run.post_id,
        run.owner,
        run.idempotency_key,
        run.input_data,
        run.input_text,
        run.model,
        lease,
    )
    return run_id


async def end(connection: Connection, run_id: int, ended: Ended) -> bool:
    """Ends a run; whether it had not ended before."""
    tag = await connection.execute(
        _END,
        run_id,
        ended.model,
        ended.output_data,
        ended.output_text,
        ended.error,
        ended.tokens_used,
        ended.execution_time,
        ended.simulated,
    )
    return tag == "UPDATE 1"


async def beat(connection: Connection, run_ids: Sequence[int], *, lease: float) -> set[int]:
    """Extends the leases of runs; those that still run."""
    return {row["id"] for row in await connection.fetch(_BEAT, run_ids, lease)}


async def end_silent(connection: Connection, *, error: dict[str, Any], limit: int) -> list[int]:
    """Fails runs that nobody has beaten for in time; which."""
    return [row["id"] for row in await connection.fetch(_END_SILENT, error, limit)]


async def get(connection: Connection, run_id: int) -> ActionRunRecord | None:
    row = await connection.fetchrow(_SELECT + " WHERE action_runs.id = $1", run_id)
    return None if row is None else ActionRunRecord(**row)


async def find(connection: Connection, owner: str, action_id: int, idempotency_key: str) -> ActionRunRecord | None:
    sql = _SELECT + " WHERE owner = $1 AND action = $2 AND idempotency_key = $3"
    row = await connection.fetchrow(sql, owner, action_id, idempotency_key)
    return None if row is None else ActionRunRecord(**row)


async def page(connection: Connection, action_id: int, *, limit: int, offset: int) -> tuple[list[ActionRunRecord], int]:
    """Runs of an action, newest first, at most `limit` and not more than memory should hold; and how many there are."""
    total: int = await connection.fetchval("SELECT count(*) FROM action_runs WHERE action = $1", action_id)
    rows = await connection.fetch(_SELECT + _PAGE, action_id, limit, offset, _MOST_BYTES)
    return [ActionRunRecord(**row) for row in rows], total
