"""Runs with their steps: entered whole, locked to be changed, read to be shown."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from common.database import Connection, Record
from contracts.orchestrator import StepStatus
from orchestrator.domain.machine import Run, Step
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.records import Submission

_STEP = """
    id, position, name, kind, status, attempt, max_attempts, fence, needs, waits_for, approval, asked, part_of, parts,
    interruptions, (config ->> 'payload_id')::bigint AS number
"""

_INSERT = f"""
    WITH entered AS (
        INSERT INTO runs (run_id, kind, owner, idempotency_key, definition, options, traceparent)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT DO NOTHING
        RETURNING id
    ),
    line AS MATERIALIZED (SELECT line_start($3) AS start, clock_timestamp() AS now)
    INSERT INTO steps (
        run, position, name, kind, owner, config, needs, ancestors, max_attempts, timeout_seconds,
        status, waits_for, approval, kept_parts, turn, claimable_at, hint_at, started_at, finished_at, output
    )
    SELECT
        entered.id, planned.position, planned.name, planned.kind, $3, planned.config, planned.needs, planned.ancestors,
        coalesce(planned.max_attempts, $9), coalesce(planned.timeout_seconds, $10),
        planned.status, planned.waits_for, planned.approval, nullif(planned.kept_parts, 'null'),
        CASE WHEN planned.status = 'ready'
            THEN line.start - 1 + row_number() OVER (PARTITION BY planned.status ORDER BY planned.position) END,
        CASE WHEN planned.status = 'ready' THEN line.now END,
        CASE WHEN planned.status = 'ready' THEN coalesce(line.now + make_interval(secs => $11), 'infinity') END,
        CASE WHEN planned.status = 'completed' THEN line.now END,
        CASE WHEN planned.status = 'completed' THEN line.now END,
        nullif(planned.output, 'null')
    FROM entered, line, jsonb_to_recordset($8::jsonb) AS planned (
        position integer, name text, kind text, config jsonb, needs integer[], ancestors integer[],
        max_attempts integer, timeout_seconds double precision, status text, waits_for integer, approval boolean,
        output jsonb, kept_parts jsonb
    )
    ORDER BY planned.position
    RETURNING run, {_STEP}
"""  # noqa: S608 - constants

_RUNS = """
    SELECT runs.id, run_id, kind, owner, status, paused, workflow_runs.id AS number,
        coalesce(trigger, CASE kind WHEN 'task' THEN 'task' ELSE 'api' END) AS trigger
    FROM runs LEFT JOIN workflow_runs ON workflow_runs.run = runs.id
    WHERE {which} ORDER BY runs.id FOR UPDATE OF runs{or_skip}
"""
_WAIT, _SKIP = "", " SKIP LOCKED"

# Of the parts of a step that wait for room, `_NEXT_PART` alone is looked at: a list may have a thousand, and nothing is
# decided about the others but that they end with their run, which `transitions` sees to.
_OPEN_STEPS = f"""
    SELECT run, {_STEP}
    FROM steps WHERE run = ANY ($1::bigint[]) AND status IN ('waiting', 'ready', 'paused', 'running')
        AND (part_of IS NULL OR status <> 'waiting')
    ORDER BY id FOR UPDATE
"""  # noqa: S608 - constants

_NEXT_PART = f"""
    SELECT run, {_STEP}
    FROM steps WHERE run = $1 AND part_of = $2 AND status = 'waiting' ORDER BY position LIMIT 1 FOR UPDATE
"""  # noqa: S608 - constants


async def insert(connection: Connection, submission: Submission, plan: Plan, *, hint_pause: float | None) -> Run | None:
    """Enters a run with all its steps, those that need nothing more ready; None when its id or key is taken already.

    A hint about a step that nobody has claimed is sent again after `hint_pause` seconds, None for never. Some of its
    steps have not been done yet: a run without any would never end.
    """
    rows = await connection.fetch(
        _INSERT,
        submission.run_id,
        submission.kind,
        submission.owner,
        submission.idempotency_key,
        submission.definition,
        submission.options,
        submission.traceparent,
        [_planned(position, step, plan) for position, step in enumerate(plan.steps)],
        plan.max_attempts,
        plan.timeout_seconds,
        hint_pause,
    )
    if not rows:
        return None
    return Run(
        rows[0]["run"],
        submission.run_id,
        submission.kind,
        submission.owner,
        "active",
        {row["position"]: _step(row) for row in rows if row["status"] != "completed"},
    )


def _planned(position: int, step: PlannedStep, plan: Plan) -> dict[str, Any]:
    """The step as a row, in the state in which it begins."""
    waits_for = sum(plan.steps[need].output is None for need in step.needs)
    if step.output is not None:
        status: StepStatus = "completed"
    elif waits_for:
        status = "waiting"
    else:
        status = "ready"
    return {**vars(step), "position": position, "status": status, "waits_for": waits_for}


async def exists(connection: Connection, run_id: str) -> bool:
    return await connection.fetchval("SELECT true FROM runs WHERE run_id = $1", run_id) is not None


async def lock(connection: Connection, kind: str, run_id: str) -> Run | None:
    """The run, which nobody else changes until the transaction ends."""
    rows = await connection.fetch(_RUNS.format(which="kind = $1 AND run_id = $2", or_skip=_WAIT), kind, run_id)
    return next(iter(await _locked(connection, rows)), None)


async def lock_of_step(connection: Connection, step_id: int, *, or_skip: bool = False) -> Run | None:
    """As `lock`, the run that a step belongs to. With `or_skip` None also where somebody else has locked it."""
    which, wait = "runs.id = (SELECT run FROM steps WHERE id = $1)", _SKIP if or_skip else _WAIT
    rows = await connection.fetch(_RUNS.format(which=which, or_skip=wait), step_id)
    return next(iter(await _locked(connection, rows)), None)


async def lock_free(connection: Connection, numbers: Sequence[int]) -> tuple[dict[int, Run], set[int]]:
    """As `lock`, those of the numbered runs that nobody else has locked; and the numbers of those that somebody has."""
    rows = await connection.fetch(_RUNS.format(which="runs.id = ANY ($1::bigint[])", or_skip=_SKIP), numbers)
    found = {run.id: run for run in await _locked(connection, rows)}
    if len(found) == len(set(numbers)):
        return found, set()
    known = await connection.fetch("SELECT id FROM runs WHERE id = ANY ($1::bigint[])", numbers)
    return found, {row["id"] for row in known} - found.keys()


async def _locked(connection: Connection, runs: Sequence[Record]) -> list[Run]:
    steps: defaultdict[int, dict[int, Step]] = defaultdict(dict)
    rows = await connection.fetch(_OPEN_STEPS, [run["id"] for run in runs]) if runs else []
    for whole in [row for row in rows if row["parts"] and row["status"] == "waiting"]:
        rows += await connection.fetch(_NEXT_PART, whole["run"], whole["position"])
    for row in rows:
        steps[row["run"]][row["position"]] = _step(row)
    return [Run(steps=steps[run["id"]], **run) for run in runs]


def _step(row: Record) -> Step:
    return Step(
        id=row["id"],
        position=row["position"],
        name=row["name"],
        kind=row["kind"],
        status=row["status"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        fence=row["fence"],
        needs=frozenset(row["needs"]),
        waits_for=row["waits_for"],
        approval=row["approval"],
        asked=row["asked"],
        part_of=row["part_of"],
        parts=row["parts"],
        number=row["number"],
        interruptions=row["interruptions"],
    )
