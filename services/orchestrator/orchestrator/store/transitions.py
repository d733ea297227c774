"""Writes what the state machine decided."""

from dataclasses import asdict
from typing import Any

from common.database import Connection
from orchestrator.domain.machine import Transition
from orchestrator.domain.policy import Policy

_CHANGE_STEPS = """
    WITH line AS MATERIALIZED (SELECT line_start($1) AS start, clock_timestamp() AS now)
    UPDATE steps SET
        status = changed.status,
        attempt = changed.attempt,
        waits_for = changed.waits_for,
        approval = changed.approval,
        turn = CASE WHEN changed.status = 'ready' THEN line.start + changed.place ELSE steps.turn END,
        claimable_at = CASE WHEN changed.status = 'ready' THEN line.now + make_interval(secs => changed.delay) END,
        -- A step that may be claimed at once is hinted at now, and one that may not as soon as it may.
        hint_at = CASE WHEN changed.status = 'ready' THEN
            line.now + make_interval(secs => CASE WHEN changed.delay > 0 THEN changed.delay ELSE $2 END) END,
        hints = 0,
        lease_until = NULL,
        deadline = NULL,
        finished_at = CASE WHEN changed.status NOT IN ('waiting', 'ready', 'paused') THEN line.now END,
        output = CASE WHEN steps.id = $3 THEN $4::jsonb END,
        error = CASE WHEN steps.id = $3 THEN $5::jsonb ELSE steps.error END
    FROM line, unnest(
        $6::bigint[], $7::text[], $8::integer[], $9::integer[], $10::double precision[], $11::boolean[]
    ) WITH ORDINALITY AS changed (id, status, attempt, waits_for, delay, approval, place)
    WHERE steps.id = changed.id
"""

_PAUSE_RUN = "UPDATE runs SET paused = $2 WHERE id = $1"

_END_RUN = "UPDATE runs SET status = $2, error = $3, finished_at = clock_timestamp() WHERE id = $1"

_STOP_RUNNING = """
    WITH grace AS (SELECT clock_timestamp() + make_interval(secs => $2) AS ends)
    UPDATE steps SET deadline = least(deadline, grace.ends), lease_until = least(lease_until, grace.ends)
    FROM grace WHERE run = $1 AND status = 'running'
"""


async def record(
    connection: Connection, transition: Transition, policy: Policy, *, error: dict[str, Any] | None = None
) -> None:
    """Writes `transition`, whose run this transaction has locked. `error` says why the run failed, if it did."""
    changed = transition.changed
    if changed:
        await connection.execute(
            _CHANGE_STEPS,
            transition.run.owner,
            policy.hint_pause,
            None if transition.step is None else transition.step.id,
            transition.output,
            None if transition.failure is None else asdict(transition.failure),
            [step.id for step in changed],
            [step.status for step in changed],
            [step.attempt for step in changed],
            [step.waits_for for step in changed],
            [step.delay for step in changed],
            [step.approval for step in changed],
        )
    if transition.paused is not None:
        await connection.execute(_PAUSE_RUN, transition.run.id, transition.paused)
    if transition.ended is not None:
        await connection.execute(_END_RUN, transition.run.id, transition.ended, error)
        await connection.execute(_STOP_RUNNING, transition.run.id, policy.cancel_grace)
