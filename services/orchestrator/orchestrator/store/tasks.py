"""Tasks: entered, answered or given a run, looked up. The view `task_states` knows the state of each."""

from collections import defaultdict
from collections.abc import Sequence

from common.database import Connection, Record
from contracts.tasks import ListTasks, TaskCounts, TaskStatus
from orchestrator.domain.tasks.records import NewTask, TaskRecord, TaskStepRecord

_SELECT = """
    SELECT run, task_id, owner, prompt, profile, role, analysis, status, result, error,
        created_at, started_at, finished_at
    FROM task_states
"""
_COUNT = "SELECT count(*) FROM task_states"
_WANTED = " WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR owner = $2)"

_INSERT = """
    INSERT INTO tasks (task_id, owner, idempotency_key, prompt, profile, role, analysis, run, status, lease_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
        CASE WHEN $8::bigint IS NULL THEN 'Processing' END,
        CASE WHEN $8::bigint IS NULL THEN clock_timestamp() + make_interval(secs => $9) END)
"""

_FINISH = """
    UPDATE tasks SET status = $2, result = $3, error = $4, finished_at = clock_timestamp()
    WHERE task_id = $1 AND status = 'Processing'
"""

_BEAT = """
    WITH locked AS MATERIALIZED (
        SELECT id FROM tasks WHERE task_id = ANY ($1::text[]) AND status = 'Processing' ORDER BY id FOR UPDATE
    )
    UPDATE tasks SET lease_until = clock_timestamp() + make_interval(secs => $2) FROM locked WHERE tasks.id = locked.id
    RETURNING task_id
"""

_END_SILENT = """
    WITH silent AS MATERIALIZED (
        SELECT id FROM tasks WHERE status = 'Processing' AND lease_until <= statement_timestamp()
        ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE tasks SET status = 'Failed', error = $1, finished_at = clock_timestamp()
    FROM silent WHERE tasks.id = silent.id RETURNING task_id
"""

_STEPS = """
    SELECT run, name, config ->> 'instruction' AS instruction, needs, status, attempt, output ->> 'text' AS result,
        CASE WHEN status <> 'completed' THEN error ->> 'message' END AS error, started_at, finished_at
    FROM steps WHERE run = ANY ($1::bigint[]) ORDER BY run, position
"""


_COUNTS = """
    WITH direct AS (
        SELECT count(*) FILTER (WHERE status = 'Completed') AS completed,
            count(*) FILTER (WHERE status = 'Failed') AS failed
        FROM tasks WHERE finished_at > statement_timestamp() - make_interval(secs => $1)
    ),
    planned AS (
        SELECT count(*) FILTER (WHERE status = 'completed') AS completed,
            count(*) FILTER (WHERE status = 'failed') AS failed
        FROM runs WHERE kind = 'task' AND finished_at > statement_timestamp() - make_interval(secs => $1)
    ),
    unfinished AS (
        SELECT count(*) AS number,
            count(*) FILTER (WHERE NOT EXISTS (
                SELECT FROM steps WHERE steps.run = runs.id AND steps.started_at IS NOT NULL
            )) AS waiting
        FROM runs WHERE kind = 'task' AND status = 'active'
    )
    SELECT
        (SELECT count(*) FROM tasks WHERE status = 'Processing') + unfinished.number - unfinished.waiting AS active,
        unfinished.waiting,
        direct.completed + planned.completed AS completed,
        direct.failed + planned.failed AS failed
    FROM direct, planned, unfinished
"""


async def insert(connection: Connection, task: NewTask, *, run: int | None = None, lease: float | None = None) -> None:
    """Enters a task that `run` carries out, or one that is being answered under a lease of so many seconds.

    Raises `UniqueViolation` when the owner's key is taken already.
    """
    await connection.execute(
        _INSERT,
        task.task_id,
        task.owner,
        task.idempotency_key,
        task.prompt,
        task.profile,
        task.role,
        task.analysis,
        run,
        lease,
    )


async def finish(
    connection: Connection, task_id: str, status: TaskStatus, *, result: str | None = None, error: str | None = None
) -> bool:
    """Ends a task that is being answered; whether it had not ended before."""
    tag = await connection.execute(_FINISH, task_id, status, result, error)
    return tag == "UPDATE 1"


async def beat(connection: Connection, task_ids: Sequence[str], *, lease: float) -> set[str]:
    """Extends the leases of tasks that are being answered; those that still are."""
    return {row["task_id"] for row in await connection.fetch(_BEAT, task_ids, lease)}


async def end_silent(connection: Connection, *, error: str, limit: int) -> list[str]:
    """Fails tasks that nobody has beaten for in time; which."""
    return [row["task_id"] for row in await connection.fetch(_END_SILENT, error, limit)]


async def get(connection: Connection, task_id: str) -> TaskRecord | None:
    rows = await connection.fetch(_SELECT + " WHERE task_id = $1", task_id)
    return next(iter(await _with_steps(connection, rows)), None)


async def find(connection: Connection, owner: str, idempotency_key: str) -> TaskRecord | None:
    rows = await connection.fetch(_SELECT + " WHERE owner = $1 AND idempotency_key = $2", owner, idempotency_key)
    return next(iter(await _with_steps(connection, rows)), None)


async def page(connection: Connection, asked: ListTasks, *, owner: str | None) -> tuple[list[TaskRecord], int]:
    """Those that were asked for without their steps, newest first, and how many there are: of that owner, of all where
    there is None."""
    total: int = await connection.fetchval(_COUNT + _WANTED, asked.status, owner)
    newest_first = _SELECT + _WANTED + " ORDER BY id DESC LIMIT $3 OFFSET $4"
    rows = await connection.fetch(newest_first, asked.status, owner, asked.limit, asked.offset)
    return [_record(row, ()) for row in rows], total


async def counts(connection: Connection, *, window: float) -> TaskCounts:
    """How many tasks are being worked on and wait now, and how many ended how in the last `window` seconds."""
    row = await connection.fetchrow(_COUNTS, window)
    assert row is not None  # noqa: S101 - counts always answer
    return TaskCounts(**row)


async def _with_steps(connection: Connection, tasks: Sequence[Record]) -> list[TaskRecord]:
    runs = [task["run"] for task in tasks if task["run"] is not None]
    steps: defaultdict[int, list[TaskStepRecord]] = defaultdict(list)
    for row in await connection.fetch(_STEPS, runs) if runs else []:
        values = dict(row)
        steps[values.pop("run")].append(TaskStepRecord(**values))
    return [_record(task, steps.get(task["run"], ())) for task in tasks]


def _record(task: Record, steps: Sequence[TaskStepRecord]) -> TaskRecord:
    values = {name: value for name, value in task.items() if name != "run"}
    return TaskRecord(steps=tuple(steps), **values)
