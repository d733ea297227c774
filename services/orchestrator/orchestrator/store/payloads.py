"""Payloads and their versions, each with its blocks in order. A deleted payload is kept for what ran with it."""

from collections.abc import Sequence

from common.database import Connection, Record
from contracts.workflows import Payload, PayloadFilter, PayloadVersion
from orchestrator.domain.workflows.records import PayloadSettings, options_as_json

_SELECT = """
    SELECT payloads.id, newest.name, newest.temperature, newest.response_length, newest.llm_port,
        newest.model_format, newest.options, payloads.created_at, payloads.updated_at,
        (
            SELECT coalesce(jsonb_agg(jsonb_build_object('id', blocks.id, 'title', text.title,
                'content', text.content, 'order_index', part.order_index) ORDER BY part.order_index), '[]')
            FROM payload_blocks AS part
            JOIN blocks ON blocks.id = part.block
            JOIN block_versions AS text ON text.block = blocks.id AND text.version = blocks.version
            WHERE part.payload_version = newest.id
        ) AS blocks
    FROM payloads
    JOIN payload_versions AS newest ON newest.payload = payloads.id AND newest.version = payloads.version
    WHERE payloads.deleted_at IS NULL
"""
_USES = "EXISTS (SELECT FROM payload_blocks WHERE payload_version = newest.id AND block = {})"
_FILTERED = f"""
    AND payloads.id > $1
    AND ($2::text IS NULL OR strpos(lower(newest.name), lower($2)) > 0)
    AND ($3::bigint IS NULL OR {_USES.format("$3")})
    ORDER BY payloads.id LIMIT $4
"""
_INSERT_VERSION = """
    INSERT INTO payload_versions
        (payload, version, name, temperature, response_length, llm_port, model_format, options)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
"""
_INSERT_BLOCKS = """
    INSERT INTO payload_blocks (payload_version, order_index, block)
    SELECT $1, place - 1, block FROM unnest($2::bigint[]) WITH ORDINALITY AS given (block, place)
"""
_NEXT_VERSION = "UPDATE payloads SET version = version + 1, updated_at = now() WHERE id = $1 RETURNING version"
_VERSIONS = """
    SELECT version, name, temperature, response_length, llm_port, model_format, options, created_at,
        ARRAY(SELECT block FROM payload_blocks WHERE payload_version = payload_versions.id ORDER BY order_index)
        AS blocks
    FROM payload_versions WHERE payload = $1
"""
_VERSION_PAGE = _VERSIONS + " ORDER BY version DESC LIMIT $2 OFFSET $3"


async def listed(connection: Connection, wanted: PayloadFilter, *, after: int, limit: int) -> list[Payload]:
    """By id."""
    rows = await connection.fetch(_SELECT + _FILTERED, after, wanted.search, wanted.block_id, limit)
    return [_payload(row) for row in rows]


async def get(connection: Connection, payload_id: int) -> Payload | None:
    row = await connection.fetchrow(_SELECT + " AND payloads.id = $1", payload_id)
    return None if row is None else _payload(row)


async def using(connection: Connection, block_id: int) -> list[Payload]:
    """Those that use the block, by id."""
    rows = await connection.fetch(f"{_SELECT} AND {_USES.format('$1')} ORDER BY payloads.id", block_id)
    return [_payload(row) for row in rows]


async def known(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the ids that there are."""
    rows = await connection.fetch("SELECT id FROM payloads WHERE id = ANY($1) AND deleted_at IS NULL", ids)
    return {row["id"] for row in rows}


async def insert(connection: Connection, payload: PayloadSettings) -> int:
    """The id of the new payload."""
    payload_id = await reserve(connection)
    await write(connection, payload_id, 1, payload)
    return payload_id


async def reserve(connection: Connection) -> int:
    """The id of a new payload, whose first version is to be written in the same transaction."""
    payload_id: int = await connection.fetchval("INSERT INTO payloads DEFAULT VALUES RETURNING id")
    return payload_id


async def add_version(connection: Connection, payload_id: int, payload: PayloadSettings) -> None:
    version: int = await connection.fetchval(_NEXT_VERSION, payload_id)
    await write(connection, payload_id, version, payload)


async def delete(connection: Connection, payload_id: int) -> None:
    await connection.execute("UPDATE payloads SET deleted_at = now() WHERE id = $1", payload_id)


async def version(connection: Connection, payload_id: int, number: int) -> PayloadVersion | None:
    row = await connection.fetchrow(_VERSIONS + " AND version = $2", payload_id, number)
    return None if row is None else PayloadVersion.model_validate(_with_options(row))


async def versions(
    connection: Connection, payload_id: int, *, limit: int, offset: int
) -> tuple[list[PayloadVersion], int]:
    """Newest first, and how many there are."""
    total: int = await connection.fetchval("SELECT version FROM payloads WHERE id = $1", payload_id)
    rows = await connection.fetch(_VERSION_PAGE, payload_id, limit, offset)
    return [PayloadVersion.model_validate(_with_options(row)) for row in rows], total


async def write(connection: Connection, payload_id: int, version: int, payload: PayloadSettings) -> None:
    number = await connection.fetchval(
        _INSERT_VERSION,
        payload_id,
        version,
        payload.name,
        payload.temperature,
        payload.response_length,
        payload.llm_port,
        payload.model_format,
        options_as_json(payload.options),
    )
    await connection.execute(_INSERT_BLOCKS, number, payload.blocks)


def _payload(row: Record) -> Payload:
    return Payload.model_validate(_with_options(row))


def _with_options(row: Record) -> dict[str, object]:
    values = dict(row)
    return {**values.pop("options"), **values}
