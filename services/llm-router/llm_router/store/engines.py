"""Engines, and which of them answers when a request names no model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.database import Connection, Record, UniqueViolation
from contracts.base import RefusalCode, Refused
from contracts.router import Prices, ProviderType
from llm_router.domain.configuration import Selection
from llm_router.domain.engines import CONFIGURED, DeclaredEngine, usual_concurrency
from llm_router.domain.registration import Registration


@dataclass(frozen=True)
class EngineRow:
    """An engine as stored; `sealed_token` is encrypted."""

    id: int
    declared: bool
    registration: Registration
    sealed_token: bytes | None
    last_used: datetime | None


_COLUMNS = (
    "id, name, provider_type, api_base, port, concurrency, timeout, enabled, priority, weight, models, prices, guarded,"
    " declared, token, last_used"
)


async def declare_engines(connection: Connection, engines: Sequence[DeclaredEngine]) -> bool:
    """Makes the declared engines those of the list; whether anything changed. Needs a transaction.

    One that was registered under the name of a declared one becomes it.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('llm_router.engines'))")
    removed = await connection.fetch(
        "DELETE FROM engines WHERE declared AND name <> ALL($1::text[]) RETURNING id", [e.name for e in engines]
    )
    changed = bool(removed)
    for engine in engines:
        concurrency = engine.concurrency or usual_concurrency(engine.provider_type)
        place = (engine.provider_type, engine.api_base, engine.port, concurrency)
        values = (engine.name, *place, engine.priority, list(engine.models))
        known = await connection.fetchrow(
            "SELECT declared AND (provider_type, api_base, port, concurrency, priority, models)"
            " IS NOT DISTINCT FROM ($2, $3, $4::int, $5::int, $6::int, $7::text[]) AS same"
            " FROM engines WHERE name = $1",
            *values,
        )
        if known is None:
            await connection.execute(
                "INSERT INTO engines (name, provider_type, api_base, port, concurrency, priority, models, declared)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, true)",
                *values,
            )
        elif not known["same"]:
            await connection.execute(
                "UPDATE engines SET provider_type = $2, api_base = $3, port = $4, concurrency = $5, declared = true,"
                " enabled = true, guarded = false, token = NULL, timeout = NULL, priority = $6, weight = 1,"
                " models = $7, prices = '{}', updated_at = clock_timestamp() WHERE name = $1",
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


async def reseal_tokens(connection: Connection, resealed: Callable[[bytes], bytes | None]) -> int:
    """Puts `resealed` tokens in the place of those that it gives another form of; how many. Needs a transaction."""
    rows = await connection.fetch("SELECT id, token FROM engines WHERE token IS NOT NULL ORDER BY id FOR UPDATE")
    anew = [(row["id"], token) for row in rows if (token := resealed(row["token"])) is not None]
    await connection.executemany("UPDATE engines SET token = $2 WHERE id = $1", anew)
    return len(anew)


async def insert_engine(connection: Connection, registration: Registration, sealed_token: bytes | None) -> int:
    """Its new id. Raises `Refused(CONFLICT)` when there is an engine of that name."""
    try:
        number: int = await connection.fetchval(
            "INSERT INTO engines (name, provider_type, api_base, port, concurrency, timeout, enabled, priority, weight,"
            " models, prices, guarded, token, declared)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, false) RETURNING id",
            *_values(registration),
            sealed_token,
        )
    except UniqueViolation:
        raise _name_taken(registration.name) from None
    return number


async def update_engine(
    connection: Connection, number: int, registration: Registration, sealed_token: bytes | None
) -> None:
    """Raises `Refused(CONFLICT)` when another engine has the name."""
    try:
        await connection.execute(
            "UPDATE engines SET name = $1, provider_type = $2, api_base = $3, port = $4, concurrency = $5,"
            " timeout = $6, enabled = $7, priority = $8, weight = $9, models = $10, prices = $11, guarded = $12,"
            " token = $13, updated_at = clock_timestamp() WHERE id = $14",
            *_values(registration),
            sealed_token,
            number,
        )
    except UniqueViolation:
        raise _name_taken(registration.name) from None


async def delete_engine(connection: Connection, number: int) -> None:
    await connection.execute("DELETE FROM engines WHERE id = $1", number)


async def list_engines(connection: Connection) -> list[EngineRow]:
    """In the order in which they were first declared or registered."""
    return [_row(row) for row in await connection.fetch(f"SELECT {_COLUMNS} FROM engines ORDER BY id")]  # noqa: S608


async def get_engine(connection: Connection, number: int) -> EngineRow | None:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM engines WHERE id = $1", number)  # noqa: S608
    return _row(row) if row is not None else None


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


def _values(registration: Registration) -> tuple[Any, ...]:
    return (
        registration.name,
        registration.provider_type,
        registration.api_base,
        registration.port,
        registration.concurrency,
        registration.timeout,
        registration.enabled,
        registration.priority,
        registration.weight,
        list(registration.models),
        {model: prices.model_dump(mode="json") for model, prices in registration.prices.items()},
        registration.guarded,
    )


def _row(row: Record) -> EngineRow:
    return EngineRow(
        id=row["id"],
        declared=row["declared"],
        registration=Registration(
            name=row["name"],
            provider_type=row["provider_type"],
            api_base=row["api_base"],
            port=row["port"],
            concurrency=row["concurrency"],
            timeout=row["timeout"],
            enabled=row["enabled"],
            priority=row["priority"],
            weight=row["weight"],
            models=tuple(row["models"]),
            prices={model: Prices.model_validate(prices) for model, prices in row["prices"].items()},
            guarded=row["guarded"],
        ),
        sealed_token=row["token"],
        last_used=row["last_used"],
    )


def _name_taken(name: str) -> Refused:
    message = f"There is an engine named {name!r} already"
    return Refused(RefusalCode.CONFLICT, message, {"errors": [{"field": "name", "message": message}]})
