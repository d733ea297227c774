"""Which objects belong to models, and which are to be removed since they belong to none any more."""

from collections.abc import Collection

from common.database import Connection


async def own(connection: Connection, model_id: str, paths: Collection[str]) -> None:
    """Takes back those that were to be removed, too."""
    await connection.execute("DELETE FROM freeing WHERE path = ANY($1::text[]) AND NOT begun", list(paths))
    await connection.executemany(
        "INSERT INTO model_paths (path, model_id) VALUES ($1, $2)", [(path, model_id) for path in set(paths)]
    )


async def leaving(connection: Connection, paths: Collection[str]) -> list[str]:
    """Those of the paths that are being removed."""
    rows = await connection.fetch("SELECT path FROM freeing WHERE path = ANY($1::text[]) AND begun", list(paths))
    return [row["path"] for row in rows]


async def delete(connection: Connection, model_id: str, revision: int) -> list[str]:
    """Marks the model as deleted; the paths that are to be removed, since no other model has them."""
    await connection.execute(
        "UPDATE models SET deleted_at = clock_timestamp(), deployment = 'none', revision = $2 WHERE model_id = $1",
        model_id,
        revision,
    )
    rows = await connection.fetch(
        "WITH gone AS (DELETE FROM model_paths WHERE model_id = $1 RETURNING path)"
        " INSERT INTO freeing (path) SELECT path FROM gone"
        " WHERE NOT EXISTS (SELECT FROM model_paths AS other WHERE other.path = gone.path AND other.model_id <> $1)"
        " ON CONFLICT DO NOTHING RETURNING path",
        model_id,
    )
    await connection.execute("DELETE FROM loss_curves WHERE model_id = $1", model_id)
    return [row["path"] for row in rows]


async def waiting(connection: Connection) -> list[str]:
    """A thousand at most, the oldest first."""
    rows = await connection.fetch("SELECT path FROM freeing ORDER BY since LIMIT 1000")
    return [row["path"] for row in rows]


async def begin(connection: Connection, path: str, *, files: int, used: bool) -> bool | None:
    """Whether what is at the path, so many files now, may be removed from now on; None when it is not to be any more.

    What somebody uses may not, unless some of it has gone already: then it is of no use to them.
    """
    begun: bool | None = await connection.fetchval(
        "UPDATE freeing SET files = coalesce(files, $2), begun = NOT $3 OR coalesce(files, $2) > $2"
        " WHERE path = $1 RETURNING begun",
        path,
        files,
        used,
    )
    return begun


async def freed(connection: Connection, path: str) -> None:
    await connection.execute("DELETE FROM freeing WHERE path = $1", path)
