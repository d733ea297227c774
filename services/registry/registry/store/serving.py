"""What is served: deployments, aliases, and the revisions by which routers keep up with them."""

from common.database import Connection
from contracts.registry import Deployment, ServableAlias, ServableModel, Serving

_PAGE = 500


async def take_turn(connection: Connection) -> int:
    """The revision of what this transaction changes. Others that change anything about models wait for its end."""
    revision: int = await connection.fetchval("UPDATE serving SET revision = revision + 1 RETURNING revision")
    return revision


async def wait_turn(connection: Connection) -> None:
    """Waits for the end of every change that has begun, and holds up those that come."""
    await connection.execute("SELECT FROM serving FOR UPDATE")


async def newest_served(connection: Connection, model_name: str) -> str | None:
    """The model that is asked by its name alone."""
    model_id: str | None = await connection.fetchval(
        "SELECT model_id FROM models WHERE model_name = $1 AND deleted_at IS NULL AND deployment <> 'none'"
        " AND coalesce(exports ->> 'adapter', exports ->> 'merged') IS NOT NULL ORDER BY version DESC LIMIT 1",
        model_name,
    )
    return model_id


async def set_deployment(connection: Connection, model_id: str, deployment: Deployment, revision: int) -> None:
    await connection.execute(
        "UPDATE models SET deployment = $2, revision = $3 WHERE model_id = $1", model_id, deployment, revision
    )


async def move_alias(
    connection: Connection, model_name: str, alias: str, model_id: str | None, revision: int
) -> str | None:
    """Has the alias name another model, or none; which it named before."""
    previous: str | None = await connection.fetchval(
        "SELECT model_id FROM aliases WHERE model_name = $1 AND alias = $2", model_name, alias
    )
    if previous != model_id:
        await connection.execute(
            "INSERT INTO aliases (model_name, alias, model_id, revision) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (model_name, alias) DO UPDATE SET model_id = $3, revision = $4",
            model_name,
            alias,
            model_id,
            revision,
        )
    return previous


async def drop_aliases(connection: Connection, model_id: str, revision: int) -> None:
    await connection.execute(
        "UPDATE aliases SET model_id = NULL, revision = $2 WHERE model_id = $1", model_id, revision
    )


async def changes(connection: Connection, after: int) -> Serving:
    """What changed since, oldest first, a page at most.

    The newest revision is read first: what it and earlier ones changed is there for all that is read afterwards.
    """
    newest: int = await connection.fetchval("SELECT revision FROM serving")
    until: int = await connection.fetchval(
        "SELECT coalesce(max(revision), $1) FROM (SELECT revision FROM"
        " (SELECT revision FROM models UNION ALL SELECT revision FROM aliases) AS changed"
        " WHERE revision > $1 ORDER BY revision LIMIT $2) AS page",
        after,
        _PAGE,
    )
    models = await connection.fetch(
        "SELECT revision, model_id, model_name, version, base_model, exports, chat_template, created_at,"
        " deployment <> 'none' AND deleted_at IS NULL AS served, deployment = 'requested' AS wanted"
        " FROM models WHERE revision > $1 AND revision <= $2 ORDER BY revision, number",
        after,
        until,
    )
    aliases = await connection.fetch(
        "SELECT revision, model_name, alias, model_id FROM aliases WHERE revision > $1 AND revision <= $2"
        " ORDER BY revision",
        after,
        until,
    )
    more: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM models WHERE revision > $1) OR EXISTS (SELECT FROM aliases WHERE revision > $1)",
        until,
    )
    return Serving(
        revision=until if more else newest,
        models=[ServableModel.model_validate(dict(row)) for row in models],
        aliases=[ServableAlias.model_validate(dict(row)) for row in aliases],
        has_more=more,
    )
