"""The lasting numbers of models, and what an administrator has said about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.database import Connection, Record
from contracts.router import Prices
from llm_router.domain.catalogue import Entry
from llm_router.domain.model_settings import ModelSettings


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


async def list_settings(connection: Connection) -> dict[str, ModelSettings]:
    """What was said about models, by name."""
    rows = await connection.fetch(
        "SELECT model, enabled, prices, fallbacks, context_size, capabilities FROM model_settings"
    )
    return {
        row["model"]: ModelSettings(
            enabled=row["enabled"],
            prices=Prices.model_validate(row["prices"]) if row["prices"] is not None else None,
            fallbacks=tuple(row["fallbacks"]),
            context_size=row["context_size"],
            capabilities=tuple(row["capabilities"]) if row["capabilities"] is not None else None,
        )
        for row in rows
    }


async def put_settings(connection: Connection, model: str, settings: ModelSettings) -> None:
    await connection.execute(
        "INSERT INTO model_settings (model, enabled, prices, fallbacks, context_size, capabilities)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (model) DO UPDATE SET enabled = $2, prices = $3, fallbacks = $4, context_size = $5,"
        " capabilities = $6, updated_at = clock_timestamp()",
        model,
        settings.enabled,
        settings.prices.model_dump(mode="json") if settings.prices is not None else None,
        list(settings.fallbacks),
        settings.context_size,
        list(settings.capabilities) if settings.capabilities is not None else None,
    )
