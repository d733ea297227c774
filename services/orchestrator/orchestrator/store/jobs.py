"""Jobs as their callers see them: looked up, listed, filtered."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from common.database import Connection, Record
from contracts.orchestrator import JobStatus
from orchestrator.domain.jobs import KIND, JobRecord, JobStep
from orchestrator.domain.records import Submission

_JOBS = """
    SELECT id, run_id, owner, status, paused, definition, options ->> 'resumes' AS resumes, error, created_at,
        finished_at
    FROM runs
"""

_SAME = """
    (SELECT id FROM (
        SELECT id, 0 AS rank FROM runs WHERE kind = $1 AND owner = $2 AND idempotency_key = $3
        UNION ALL SELECT id, 1 FROM runs WHERE run_id = $4
    ) AS same ORDER BY rank LIMIT 1)
"""
_REPEATED = _JOBS + " WHERE id = " + _SAME

_STEPS = """
    SELECT run, position, name, kind, status, attempt, started_at, finished_at, {output} AS output, cached
    FROM steps WHERE run = ANY ($1::bigint[]) ORDER BY run, position
"""
_WHOLE_STEPS = _STEPS.format(output="output")
# Outputs may be large, and of a job without its result only the model is told.
_BRIEF_STEPS = _STEPS.format(output="CASE kind WHEN 'RegistrationAgent' THEN output END")

_HAS_STARTED = """
    EXISTS (
        SELECT FROM steps
        WHERE steps.run = runs.id AND steps.started_at IS NOT NULL
            AND NOT (steps.status = 'completed' AND steps.attempt = 0)
    )
"""

_OF_STATUS: dict[JobStatus | None, str] = {
    None: "true",
    "pending": f"status = 'active' AND NOT paused AND NOT {_HAS_STARTED}",
    "running": f"status = 'active' AND NOT paused AND {_HAS_STARTED}",
    "paused": "status = 'active' AND paused",
    "completed": "status = 'completed'",
    "failed": "status = 'failed'",
    "cancelled": "status = 'cancelled'",
}

_CHOSEN = """
    WHERE kind = $1 AND ($2::text IS NULL OR owner = $2) AND ($3::timestamptz IS NULL OR created_at > $3)
        AND ($4::timestamptz IS NULL OR created_at < $4) AND {of_status}
"""
_COUNT = "SELECT count(*) FROM runs {chosen}"
_PAGE = _JOBS + _CHOSEN + " ORDER BY id DESC LIMIT $5 OFFSET $6"


_OF_DATASET = """
    SELECT run_id, status = 'active' AS goes_on FROM runs
    WHERE kind = $1 AND id IN (
        SELECT run FROM steps
        WHERE kind = 'DatasetAgent'
            AND (config ->> 'dataset_id' = $2 OR starts_with(config ->> 'file_path', 's3://datasets/' || $2 || '/'))
    )
    ORDER BY status = 'active' DESC, id DESC LIMIT 100
"""

_IN_USE = """
    -- Turned into text once a step, and not once more for each path.
    WITH told AS MATERIALIZED (
        SELECT concat(steps.config, steps.output) AS text FROM runs JOIN steps ON steps.run = runs.id
        WHERE runs.kind = $1 AND runs.status = 'active'
    )
    SELECT path FROM unnest($2::text[]) AS path WHERE EXISTS (SELECT FROM told WHERE strpos(text, path) > 0)
"""

_COMPARING = """
    SELECT run_id FROM runs
    WHERE kind = $1 AND status = 'active' AND EXISTS (
        SELECT FROM steps
        WHERE steps.run = runs.id AND steps.kind = 'ComparisonAgent' AND steps.status <> 'completed'
            AND steps.config -> 'models' ?| $2::text[]
    )
    ORDER BY id LIMIT 100
"""


async def find(connection: Connection, submission: Submission) -> JobRecord | None:
    """The job that `submission` repeats: that of the owner's key, else that of the run id."""
    rows = await connection.fetch(
        _REPEATED, submission.kind, submission.owner, submission.idempotency_key, submission.run_id
    )
    return next(iter(await _with_steps(connection, rows, _BRIEF_STEPS)), None)


async def get(connection: Connection, run_id: str) -> JobRecord | None:
    """With all that its steps have put out."""
    rows = await connection.fetch(_JOBS + " WHERE kind = $1 AND run_id = $2", KIND, run_id)
    return next(iter(await _with_steps(connection, rows, _WHOLE_STEPS)), None)


async def page(
    connection: Connection,
    *,
    status: JobStatus | None,
    owner: str | None,
    after: datetime | None,
    before: datetime | None,
    limit: int,
    offset: int,
) -> tuple[list[JobRecord], int]:
    """Jobs of that status and owner, submitted between those moments, newest first; and how many there are."""
    chosen = (KIND, owner, after, before)
    of_status = _OF_STATUS[status]
    total = await connection.fetchval(_COUNT.format(chosen=_CHOSEN.format(of_status=of_status)), *chosen)
    rows = await connection.fetch(_PAGE.format(of_status=of_status), *chosen, limit, offset)
    return await _with_steps(connection, rows, _BRIEF_STEPS), total


async def of_dataset(connection: Connection, dataset_id: str) -> list[tuple[str, bool]]:
    """The runs that read the data set, and whether they go on: those first, then the newest."""
    rows = await connection.fetch(_OF_DATASET, KIND, dataset_id)
    return [(row["run_id"], row["goes_on"]) for row in rows]


async def paths_in_use(connection: Connection, paths: Sequence[str]) -> list[str]:
    """Those that steps of jobs that go on are told to read, or have put out for others."""
    return [row["path"] for row in await connection.fetch(_IN_USE, KIND, paths)]


async def comparing(connection: Connection, models: Sequence[str]) -> list[str]:
    """The runs that go on and have yet to compare a model which they name so."""
    return [row["run_id"] for row in await connection.fetch(_COMPARING, KIND, models)]


async def run_ids_like(connection: Connection, root: str) -> list[str]:
    """Run ids of the form `<root>-r<number>`, also of jobs that were deleted."""
    rows = await connection.fetch(
        "SELECT run_id FROM (SELECT run_id FROM runs UNION ALL SELECT run_id FROM deleted_jobs) AS given"
        " WHERE run_id ~ ('^' || $1 || '-r[0-9]{1,9}$')",
        root,
    )
    return [row["run_id"] for row in rows]


async def mark_cached(connection: Connection, step_id: int) -> None:
    """Says of a step, which this transaction has locked and is about to complete, that its output is not its own."""
    await connection.execute("UPDATE steps SET cached = true WHERE id = $1", step_id)


async def _with_steps(connection: Connection, found: Sequence[Record], steps_of: str) -> list[JobRecord]:
    steps: defaultdict[int, list[JobStep]] = defaultdict(list)
    for row in await connection.fetch(steps_of, [run["id"] for run in found]) if found else ():
        values = dict(row)
        steps[values.pop("run")].append(JobStep(**values))
    return [
        JobRecord(steps=tuple(steps[run["id"]]), **{key: value for key, value in run.items() if key != "id"})
        for run in found
    ]
