"""What jobs have taken over of the results of others, and the locks between those who do so and those who delete.

Whoever takes something over shares the lock of the run that made it, whoever deletes that run has it alone: so either
the one finds the run gone, or the other finds that it is needed. Locks are taken before those of rows.
"""

from collections.abc import Collection

from common.database import Connection
from orchestrator.domain.deletion import Result
from orchestrator.domain.jobs import KIND

_LOCK = "hashtextextended('orchestrator.results.' || run_id, 0)"


async def share(connection: Connection, run_ids: Collection[str]) -> set[str]:
    """Keeps the runs from being deleted until the transaction ends; those of them that are there."""
    # In one order, so that no two wait for each other.
    await connection.execute(
        f"SELECT pg_advisory_xact_lock_shared({_LOCK}) FROM unnest($1::text[]) AS run_id",  # noqa: S608 - a constant
        sorted(run_ids),
    )
    # A statement of its own, which looks after the wait.
    rows = await connection.fetch(
        "SELECT run_id FROM runs WHERE kind = $1 AND run_id = ANY ($2::text[])", KIND, list(run_ids)
    )
    return {row["run_id"] for row in rows}


async def exclude(connection: Connection, run_id: str) -> None:
    """Keeps everybody from taking over anything of the run until the transaction ends."""
    await connection.execute(
        f"SELECT pg_advisory_xact_lock({_LOCK}) FROM (SELECT $1::text AS run_id) AS run",  # noqa: S608 - a constant
        run_id,
    )


async def keep(connection: Connection, run: int, results: Collection[Result]) -> None:
    """Notes that the run has taken over these, whose runs this transaction shares."""
    await _insert(connection, "runs.id = $1", (run,), results)


async def keep_for_step(connection: Connection, step_id: int, fence: int, results: Collection[Result]) -> None:
    """As `keep`, for the run of a step that is held by its `fence`. Of one that is not, nothing will come."""
    held = "runs.id = (SELECT run FROM steps WHERE id = $1 AND fence = $2 AND status = 'running')"
    await _insert(connection, held, (step_id, fence), results)


async def _insert(connection: Connection, which: str, given: tuple[int, ...], results: Collection[Result]) -> None:
    first = len(given) + 1
    await connection.execute(
        "INSERT INTO reused_results (run, origin, agent) SELECT runs.id, result.origin, result.agent"  # noqa: S608
        f" FROM runs, unnest(${first}::text[], ${first + 1}::text[]) AS result (origin, agent)"
        f" WHERE {which} AND result.origin <> runs.run_id ON CONFLICT DO NOTHING",
        *given,
        [result.origin for result in results],
        [result.agent for result in results],
    )


async def taken_over(connection: Connection, origin: str) -> set[Result]:
    """What jobs have of the results of that run."""
    rows = await connection.fetch("SELECT DISTINCT origin, agent FROM reused_results WHERE origin = $1", origin)
    return {Result(**row) for row in rows}


async def about_to_read(connection: Connection, origin: str) -> set[str]:
    """The objects of that run that jobs which go on are told to read as their data, and have not yet."""
    rows = await connection.fetch(
        "SELECT DISTINCT steps.config ->> 'file_path' AS path FROM steps JOIN runs ON runs.id = steps.run"
        " WHERE runs.kind = $1 AND runs.status = 'active' AND steps.kind = 'DatasetAgent'"
        " AND steps.finished_at IS NULL AND starts_with(steps.config ->> 'file_path', $2)",
        KIND,
        Result(origin, "").path,
    )
    return {row["path"] for row in rows}


async def retries(connection: Connection, run_id: str) -> list[str]:
    """The runs that go on from that one, and may take up its checkpoints."""
    rows = await connection.fetch(
        "SELECT run_id FROM runs WHERE kind = $1 AND status = 'active' AND options ->> 'resumes' = $2 ORDER BY id",
        KIND,
        run_id,
    )
    return [row["run_id"] for row in rows]
