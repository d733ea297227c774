"""Single steps: claimed, beaten for, found expired, hinted at. All on the database's clock.

`statement_timestamp()` stands where an index shall find a moment: `clock_timestamp()` changes from row to row, so an
index cannot look for it.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Literal

from common.database import Connection, Record
from contracts.orchestrator import StepStatus
from orchestrator.domain.records import Claim, Hint, PartRecord

Verdict = Literal["held", "cancel", "lost"]
Expiry = Literal["lease", "deadline"]

_OLDEST = "SELECT id, inputs FROM first_in_line($1::text[], $4)"

_NAMED = """
    SELECT id, ARRAY(
        SELECT earlier.output FROM steps AS earlier
        WHERE earlier.run = steps.run AND earlier.position = ANY (steps.ancestors)
        ORDER BY array_position(steps.ancestors, earlier.position)
    ) AS inputs
    FROM steps
    WHERE status = 'ready' AND claimable_at <= statement_timestamp() AND kind = ANY ($1::text[]) AND id = $4
    FOR UPDATE
"""

_CLAIM = """
    WITH chosen AS MATERIALIZED ({chosen}), clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
    UPDATE steps SET
        status = 'running',
        attempt = attempt + 1,
        fence = fence + 1,
        worker_id = $2,
        lease_until = clock.now + make_interval(secs => $3),
        deadline = clock.now + make_interval(secs => timeout_seconds),
        started_at = coalesce(started_at, clock.now)
    FROM chosen, clock, runs
    WHERE steps.id = chosen.id AND runs.id = steps.run
    RETURNING steps.id AS step_id, steps.run, runs.run_id, steps.name, steps.kind, attempt, max_attempts, fence,
        deadline, config, runs.options, runs.traceparent, turn, parts, kept_parts, approval,
        extract(epoch FROM clock.now - claimable_at)::double precision AS waited, chosen.inputs
"""

_CLAIM_OLDEST = _CLAIM.format(chosen=_OLDEST)
_CLAIM_NAMED = _CLAIM.format(chosen=_NAMED)

_BEAT = """
    WITH beats AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS beat (id, fence)),
    locked AS MATERIALIZED (
        SELECT steps.id FROM steps JOIN beats USING (id)
        WHERE steps.status = 'running' AND steps.fence = beats.fence
        ORDER BY steps.id FOR UPDATE OF steps SKIP LOCKED
    ),
    held AS (
        -- Whoever beats after the deadline is not silent but slow: its lease ends with that, as no other lease does.
        UPDATE steps
        SET lease_until = CASE WHEN now < deadline THEN now + make_interval(secs => $3) ELSE '-infinity' END
        FROM locked, runs, (SELECT clock_timestamp() AS now) AS clock
        WHERE steps.id = locked.id AND runs.id = steps.run
        RETURNING steps.id, CASE WHEN runs.status = 'active' THEN 'held' ELSE 'cancel' END AS verdict
    )
    -- Whoever has locked a step may take long, and costs no other step its beat. What comes of it is told next time.
    SELECT beats.id, coalesce(
        held.verdict,
        (SELECT 'held' FROM steps WHERE steps.id = beats.id AND steps.status = 'running' AND steps.fence = beats.fence),
        'lost'
    ) AS verdict
    FROM beats LEFT JOIN held USING (id)
"""

_EXPIRED = """
    SELECT id, fence FROM steps WHERE status = 'running' AND lease_until <= statement_timestamp()
    ORDER BY lease_until LIMIT $1
"""

_EXPIRY = """
    SELECT CASE WHEN lease_until = '-infinity' THEN 'deadline' ELSE 'lease' END AS reason, timeout_seconds
    FROM steps WHERE id = $1 AND lease_until <= clock_timestamp()
"""

_PARTS = """
    SELECT config, error, CASE WHEN so_far > $2 THEN jsonb_set(output, '{prompt}', '""') ELSE output END AS output
    FROM (
        SELECT part.position, part.config, part.output, part.error,
            sum(length(part.output ->> 'prompt')) OVER (ORDER BY part.position) AS so_far
        FROM steps AS part JOIN steps AS whole ON whole.run = part.run AND whole.position = part.part_of
        WHERE whole.id = $1
    ) AS ended
    ORDER BY position
"""

_HINT_AGAIN = """
    WITH due AS MATERIALIZED (
        SELECT id FROM steps WHERE status = 'ready' AND hint_at <= statement_timestamp()
        ORDER BY hint_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE steps SET
        hints = hints + 1,
        hint_at = clock_timestamp() + make_interval(secs => $2 * 2 ^ least(hints, 4))
    FROM due, runs
    WHERE steps.id = due.id AND runs.id = steps.run
    RETURNING steps.id AS step_id, steps.kind, fence, hints, runs.kind AS run_kind
"""


async def claim(
    connection: Connection, *, worker_id: str, kinds: Sequence[str], lease: float, step_id: int | None = None
) -> Claim | None:
    """Gives a ready step of one of `kinds` to the worker: the first in line, or the one named. None: there is none."""
    if step_id is None:
        return next(iter(await claim_many(connection, worker_id=worker_id, kinds=kinds, lease=lease, limit=1)), None)
    row = await connection.fetchrow(_CLAIM_NAMED, kinds, worker_id, lease, step_id)
    return None if row is None else _claim(row)


async def claim_many(
    connection: Connection, *, worker_id: str, kinds: Sequence[str], lease: float, limit: int
) -> list[Claim]:
    """As `claim`, the first `limit` in line."""
    rows = await connection.fetch(_CLAIM_OLDEST, kinds, worker_id, lease, limit)
    return [_claim(row) for row in sorted(rows, key=itemgetter("turn", "step_id"))]


def _claim(row: Record) -> Claim:
    values = dict(row)
    del values["turn"]
    return Claim(inputs=tuple(values.pop("inputs")), **values)


async def beat(connection: Connection, fences: Mapping[int, int], *, lease: float) -> dict[int, Verdict]:
    """Extends the leases of the steps that are held by their `fences`, and says how each stands."""
    rows = await connection.fetch(_BEAT, list(fences), list(fences.values()), lease)
    return {row["id"]: row["verdict"] for row in rows}


async def ended_as(connection: Connection, step_id: int, fence: int, status: StepStatus) -> bool:
    """Whether the claim of that fence was the one that ended the step, in `status`."""
    sql = "SELECT true FROM steps WHERE id = $1 AND fence = $2 AND status = $3"
    return await connection.fetchval(sql, step_id, fence, status) is not None


async def expired(connection: Connection, limit: int) -> list[tuple[int, int]]:
    """Ids and fences of running steps whose lease has ended, longest ago first."""
    return [(row["id"], row["fence"]) for row in await connection.fetch(_EXPIRED, limit)]


async def expiry(connection: Connection, step_id: int) -> tuple[Expiry, float] | None:
    """Which limit the step, which this transaction has locked, has passed, and how long an attempt may take."""
    row = await connection.fetchrow(_EXPIRY, step_id)
    return None if row is None else (row["reason"], row["timeout_seconds"])


async def parts(connection: Connection, step_id: int, *, prompts: int) -> list[PartRecord]:
    """The parts of a split step, all of which have ended, in their order; those beyond so many characters of `prompts`
    without theirs."""
    return [PartRecord(**row) for row in await connection.fetch(_PARTS, step_id, prompts)]


async def count_parts(connection: Connection, run: int) -> int:
    """How many parts the run's steps have been split into."""
    sql = "SELECT count(*) FROM steps WHERE run = $1 AND part_of IS NOT NULL"
    count: int = await connection.fetchval(sql, run)
    return count


async def hint_again(connection: Connection, *, limit: int, pause: float) -> list[Hint]:
    """Ready steps about which another hint is due, now counted as sent."""
    rows = await connection.fetch(_HINT_AGAIN, limit, pause)
    return [Hint(row["step_id"], row["kind"], row["run_kind"], row["fence"], row["hints"]) for row in rows]


async def open_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many steps of each kind are ready, and how many running."""
    rows = await connection.fetch(
        "SELECT kind, status, count(*) AS number FROM steps WHERE status = 'ready' GROUP BY kind, status"
        " UNION ALL SELECT kind, status, count(*) FROM steps WHERE status = 'running' GROUP BY kind, status"
    )
    return {(row["kind"], row["status"]): row["number"] for row in rows}
