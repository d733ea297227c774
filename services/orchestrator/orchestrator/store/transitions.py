"""Writes what the state machine decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from common.database import Connection
from orchestrator.domain.machine import Transition
from orchestrator.domain.policy import Policy

# All of it in one question, since each costs a wait. Steps that become ready go to the end of their owner's line, in
# the order in which they are given; those that still run in a run that ends are given the time to stop.
_RECORD = """
    WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
    changed AS MATERIALIZED (
        SELECT *, row_number() OVER (PARTITION BY owner, status ORDER BY ordinal) AS place
        FROM unnest(
            $1::bigint[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::boolean[],
            $7::double precision[], $8::double precision[], $9::boolean[], $10::jsonb[], $11::jsonb[], $12::boolean[],
            $13::integer[]
        ) WITH ORDINALITY AS given (
            id, owner, status, attempt, waits_for, approval, delay, hint_pause, happened, output, error, asked,
            interruptions, ordinal
        )
    ),
    lines AS MATERIALIZED (
        SELECT owner, line_start(owner) AS start FROM (SELECT DISTINCT owner FROM changed WHERE status = 'ready') AS o
    ),
    ended AS (
        UPDATE runs SET status = given.status, error = given.error, finished_at = clock.now
        FROM clock, unnest($14::bigint[], $15::text[], $16::jsonb[]) AS given (id, status, error)
        WHERE runs.id = given.id
    ),
    told_to_stop AS (
        UPDATE steps SET deadline = least(deadline, grace.ends), lease_until = least(lease_until, grace.ends)
        FROM (SELECT now + make_interval(secs => $17) AS ends FROM clock) AS grace
        WHERE run = ANY ($14::bigint[]) AND steps.status = 'running' AND steps.id <> ALL ($1::bigint[])
    )
    UPDATE steps SET
        status = changed.status,
        attempt = changed.attempt,
        interruptions = changed.interruptions,
        waits_for = changed.waits_for,
        approval = changed.approval,
        asked = changed.asked,
        -- Whoever found out that a person must be asked has not begun.
        started_at = CASE WHEN NOT changed.asked THEN steps.started_at END,
        turn = CASE WHEN changed.status = 'ready' THEN lines.start + changed.place - 1 ELSE steps.turn END,
        claimable_at = CASE WHEN changed.status = 'ready' THEN clock.now + make_interval(secs => changed.delay) END,
        -- A step that may be claimed at once is hinted at now, and one that may not as soon as it may.
        hint_at = CASE
            WHEN changed.status <> 'ready' THEN NULL
            WHEN changed.hint_pause IS NULL THEN 'infinity'
            ELSE clock.now + make_interval(secs => CASE WHEN delay > 0 THEN delay ELSE hint_pause END)
        END,
        hints = 0,
        lease_until = NULL,
        deadline = NULL,
        finished_at = CASE WHEN changed.status NOT IN ('waiting', 'ready', 'paused') THEN clock.now END,
        output = changed.output,
        error = CASE WHEN changed.happened THEN changed.error ELSE steps.error END
    FROM clock, changed LEFT JOIN lines USING (owner)
    WHERE steps.id = changed.id
"""

# A part may be claimed as often and as long as its whole, and waits for nothing more than that did.
_SPLIT = """
    WITH whole AS (UPDATE steps SET parts = $2, kept_parts = NULL WHERE id = $1 RETURNING *),
    line AS MATERIALIZED (SELECT line_start(owner) AS start, clock_timestamp() AS now FROM whole)
    INSERT INTO steps (
        run, position, part_of, name, kind, owner, config, needs, ancestors, max_attempts, timeout_seconds,
        status, waits_for, turn, claimable_at, hint_at, started_at, finished_at, output
    )
    SELECT
        whole.run, made.position, whole.position, made.name, whole.kind, whole.owner, made.config, '{}',
        made.ancestors, whole.max_attempts, whole.timeout_seconds, made.status, made.waits_for,
        CASE WHEN made.status = 'ready'
            THEN line.start - 1 + row_number() OVER (PARTITION BY made.status ORDER BY made.position) END,
        CASE WHEN made.status = 'ready' THEN line.now END,
        CASE WHEN made.status = 'ready' THEN coalesce(line.now + make_interval(secs => $4), 'infinity') END,
        CASE WHEN made.status = 'completed' THEN line.now END,
        CASE WHEN made.status = 'completed' THEN line.now END,
        nullif(made.output, 'null')
    FROM whole, line, jsonb_to_recordset($3::jsonb) AS made (
        position integer, name text, config jsonb, ancestors integer[], status text, waits_for integer, output jsonb
    )
    ORDER BY made.position
"""

# Parts that waited for room end with their run, as all do that had not started.
_END_PARTS = """
    UPDATE steps SET status = $2, finished_at = clock_timestamp()
    WHERE run = $1 AND part_of IS NOT NULL AND status = 'waiting'
"""

_PAUSE_RUN = "UPDATE runs SET paused = $2 WHERE id = $1"

Errors = Mapping[int, dict[str, Any] | None]
"""Why runs failed, by their numbers."""


async def record(connection: Connection, transitions: Sequence[Transition], policy: Policy, errors: Errors) -> None:
    """Writes `transitions`, each of another run, which this transaction has locked."""
    changes = [change for transition in transitions for change in _changes(transition, policy)]
    ends = [(one.run.id, one.ended, errors[one.run.id]) for one in transitions if one.ended is not None]
    if changes or ends:
        columns = [*_columns(changes, 13), *_columns(ends, 3)]
        await connection.execute(_RECORD, *columns, policy.cancel_grace)
    for transition in transitions:
        if transition.paused is not None:
            await connection.execute(_PAUSE_RUN, transition.run.id, transition.paused)
        if transition.ended is not None and any(step.parts for step in transition.run.steps.values()):
            rest = "skipped" if transition.ended == "failed" else "cancelled"
            await connection.execute(_END_PARTS, transition.run.id, rest)
        if transition.made:
            await _split(connection, transition, policy)


async def _split(connection: Connection, transition: Transition, policy: Policy) -> None:
    assert transition.step is not None  # noqa: S101 - it happened to a step
    rows = [
        {**asdict(new.part), "position": new.position, "status": new.status, "waits_for": new.waits_for}
        for new in transition.made
    ]
    hint_pause = policy.pause_before_hint(transition.run.kind)
    await connection.execute(_SPLIT, transition.step.id, len(rows), rows, hint_pause)


def _columns(rows: Sequence[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(number)]


def _changes(transition: Transition, policy: Policy) -> Iterator[tuple[Any, ...]]:
    """The changed steps as rows. Result and failure are those of the step that it happened to."""
    run, failure = transition.run, None if transition.failure is None else asdict(transition.failure)
    hint_pause = policy.pause_before_hint(run.kind)
    for step in transition.changed:
        happened = transition.step is not None and step.id == transition.step.id
        yield (
            step.id,
            run.owner,
            step.status,
            step.attempt,
            step.waits_for,
            step.approval,
            step.delay,
            hint_pause,
            happened,
            transition.output if happened else None,
            failure if happened else None,
            step.asked,
            step.interruptions,
        )
