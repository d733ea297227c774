"""What the router remembers: engines, configuration, the numbers of models, interactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.database import Connection, Record
from contracts.router import Interaction, ProviderType
from llm_router.domain.catalogue import Entry
from llm_router.domain.configuration import Selection
from llm_router.domain.engines import CONFIGURED, DeclaredEngine, usual_concurrency


@dataclass(frozen=True)
class EngineRow:
    """An engine as stored; `sealed_token` is encrypted."""

    id: int
    name: str
    provider_type: ProviderType
    api_base: str
    port: int | None
    concurrency: int
    guarded: bool
    sealed_token: bytes | None
    last_used: datetime | None


@dataclass(frozen=True)
class ModelNumber:
    """The lasting number of a model's name, and what was last known of it."""

    id: int
    name: str
    provider: str
    max_tokens: int
    engine: str | None
    parent: str | None
    model_id: str | None
    created_at: datetime
    updated_at: datetime


# Engines and configuration


async def declare_engines(connection: Connection, engines: Sequence[DeclaredEngine]) -> bool:
    """Makes the declared engines those of the list; whether anything changed. Needs a transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('llm_router.engines'))")
    removed = await connection.fetch(
        "DELETE FROM engines WHERE declared AND name <> ALL($1::text[]) RETURNING id", [e.name for e in engines]
    )
    changed = bool(removed)
    for engine in engines:
        concurrency = engine.concurrency or usual_concurrency(engine.provider_type)
        values = (engine.name, engine.provider_type, engine.api_base, engine.port, concurrency)
        known = await connection.fetchrow(
            "SELECT (provider_type, api_base, port, concurrency) IS NOT DISTINCT FROM ($2, $3, $4::int, $5::int)"
            " AS same FROM engines WHERE name = $1",
            *values,
        )
        if known is None:
            await connection.execute(
                "INSERT INTO engines (name, provider_type, api_base, port, concurrency, declared)"
                " VALUES ($1, $2, $3, $4, $5, true)",
                *values,
            )
        elif not known["same"]:
            await connection.execute(
                "UPDATE engines SET provider_type = $2, api_base = $3, port = $4, concurrency = $5,"
                " updated_at = clock_timestamp() WHERE name = $1",
                *values,
            )
        changed = changed or known is None or not known["same"]
    return changed


async def put_configured_engine(
    connection: Connection, provider_type: ProviderType, api_base: str, *, guarded: bool, sealed_token: bytes | None
) -> None:
    await connection.execute(
        "INSERT INTO engines (name, provider_type, api_base, concurrency, declared, guarded, token)"
        " VALUES ($1, $2, $3, $4, false, $5, $6)"
        " ON CONFLICT (name) DO UPDATE SET provider_type = $2, api_base = $3, concurrency = $4, guarded = $5,"
        " token = $6, updated_at = clock_timestamp()",
        CONFIGURED,
        provider_type,
        api_base,
        usual_concurrency(provider_type),
        guarded,
        sealed_token,
    )


async def list_engines(connection: Connection) -> list[EngineRow]:
    """In the order in which they were first declared."""
    rows = await connection.fetch(
        "SELECT id, name, provider_type, api_base, port, concurrency, guarded, token AS sealed_token, last_used"
        " FROM engines ORDER BY id"
    )
    return [EngineRow(**row) for row in rows]


async def note_use(connection: Connection, last_used: Sequence[tuple[str, datetime]]) -> None:
    """Moves `last_used` of the named engines forward."""
    await connection.executemany(
        "UPDATE engines SET last_used = $2 WHERE name = $1 AND (last_used IS NULL OR last_used < $2)", last_used
    )


async def read_selection(connection: Connection, *, for_update: bool = False) -> Selection:
    lock = " FOR UPDATE" if for_update else ""
    row = await connection.fetchrow(f"SELECT engine, model, revision FROM config{lock}")  # noqa: S608 - a constant
    assert row is not None  # noqa: S101 - the migration makes the row
    return Selection(row["engine"], row["model"], row["revision"])


async def write_selection(connection: Connection, selection: Selection) -> None:
    await connection.execute(
        "UPDATE config SET engine = $1, model = $2, revision = $3, updated_at = clock_timestamp()",
        selection.engine,
        selection.model,
        selection.revision,
    )


# Models


async def number_models(connection: Connection, entries: Sequence[Entry]) -> list[ModelNumber]:
    """Gives every name a number that it keeps, and notes what is known of it now. Needs a transaction."""
    columns = [
        (e.name, e.provider, e.max_tokens, e.engines[0] if e.engines else None, e.parent, e.model_id) for e in entries
    ]
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('llm_router.served_models'))")
    await connection.executemany(
        "INSERT INTO served_models (name, provider, max_tokens, engine, parent, model_id)"
        " SELECT $1::text, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT FROM served_models WHERE name = $1)",
        columns,
    )
    await connection.executemany(
        "UPDATE served_models SET provider = $2, max_tokens = $3, engine = $4, parent = $5, model_id = $6,"
        " updated_at = clock_timestamp() WHERE name = $1"
        " AND (provider, max_tokens, engine, parent, model_id) IS DISTINCT FROM ($2, $3::int, $4, $5, $6)",
        columns,
    )
    return await list_models(connection)


async def list_models(connection: Connection) -> list[ModelNumber]:
    rows: list[Record] = await connection.fetch(
        "SELECT id, name, provider, max_tokens, engine, parent, model_id, created_at, updated_at FROM served_models"
    )
    return [ModelNumber(**row) for row in rows]


# Interactions


async def add_interactions(connection: Connection, interactions: Sequence[Interaction]) -> None:
    """Keeps each interaction once, however often it is told."""
    await connection.executemany(
        "INSERT INTO interactions (interaction_id, route, model, engine, input_text, output_text, parameters, status,"
        " error_message, prompt_tokens, completion_tokens, duration, time_to_first_token, principal, trace_id,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        " ON CONFLICT (interaction_id) DO NOTHING",
        [
            (
                i.interaction_id,
                i.route,
                i.model,
                i.engine,
                i.input_text,
                i.output_text,
                i.parameters,
                i.status,
                i.error_message,
                i.prompt_tokens,
                i.completion_tokens,
                i.duration,
                i.time_to_first_token,
                i.principal,
                i.trace_id,
                i.created_at,
            )
            for i in interactions
        ],
    )
