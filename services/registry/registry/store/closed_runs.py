"""Runs of jobs that are deleted, and the models that need something of them."""

from common.database import Connection


async def close(connection: Connection, run_id: str) -> None:
    """Needs the turn: what is registered of the run has been by now. See `serving.wait_turn`."""
    await connection.execute("INSERT INTO closed_runs (run_id) VALUES ($1) ON CONFLICT DO NOTHING", run_id)


async def is_closed(connection: Connection, run_id: str) -> bool:
    return await connection.fetchval("SELECT true FROM closed_runs WHERE run_id = $1", run_id) is not None


async def most(connection: Connection, run_id: str, size: int) -> int:
    """How many bytes the run, which has `size` of them now, has had at most since it was closed."""
    known: int | None = await connection.fetchval(
        "UPDATE closed_runs SET size = greatest(size, $2) WHERE run_id = $1 RETURNING size", run_id, size
    )
    return size if known is None else known


async def owned_below(connection: Connection, place: str) -> list[str]:
    """What belongs to models of all that lies below the place."""
    rows = await connection.fetch("SELECT DISTINCT path FROM model_paths WHERE starts_with(path, $1 || '/')", place)
    return [row["path"] for row in rows]


async def models_without_curve(connection: Connection, run_id: str, place: str) -> list[str]:
    """Those that the run may have trained, whose losses have not been read from its log."""
    rows = await connection.fetch(
        "SELECT model_id FROM models WHERE deleted_at IS NULL"
        " AND NOT EXISTS (SELECT FROM loss_curves WHERE loss_curves.model_id = models.model_id)"
        " AND (run_id = $1 OR EXISTS (SELECT FROM model_paths AS owned"
        " WHERE owned.model_id = models.model_id AND starts_with(owned.path, $2 || '/')))",
        run_id,
        place,
    )
    return [row["model_id"] for row in rows]
