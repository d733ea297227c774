"""Blocks and their versions. A deleted block is kept for what ran with it, and found by nobody else."""

from collections.abc import Sequence

from common.database import Connection
from contracts.workflows import Block, BlockFilter, BlockVersion
from orchestrator.domain.workflows.records import BlockSettings

_SELECT = """
    SELECT blocks.id, newest.title, newest.content, newest.tags, newest.folder_path,
        blocks.created_at, blocks.updated_at
    FROM blocks JOIN block_versions AS newest ON newest.block = blocks.id AND newest.version = blocks.version
    WHERE blocks.deleted_at IS NULL
"""
_FILTERED = """
    AND blocks.id > $1
    AND ($2::text IS NULL OR newest.folder_path = $2 OR starts_with(newest.folder_path, $2 || '/'))
    AND ($3::text IS NULL OR lower($3) IN
        (SELECT lower(btrim(tag)) FROM unnest(string_to_array(newest.tags, ',')) AS tag))
    AND ($4::text IS NULL OR strpos(lower(newest.title), lower($4)) > 0 OR strpos(lower(newest.content), lower($4)) > 0)
    ORDER BY blocks.id LIMIT $5
"""
_INSERT_VERSION = """
    INSERT INTO block_versions (block, version, title, content, tags, folder_path) VALUES ($1, $2, $3, $4, $5, $6)
"""
_NEXT_VERSION = "UPDATE blocks SET version = version + 1, updated_at = now() WHERE id = $1 RETURNING version"
_VERSIONS = """
    SELECT version, title, content, tags, folder_path, created_at FROM block_versions WHERE block = $1
"""
_VERSION_PAGE = _VERSIONS + " ORDER BY version DESC LIMIT $2 OFFSET $3"


async def listed(connection: Connection, wanted: BlockFilter, *, after: int, limit: int) -> list[Block]:
    """By id."""
    folder = None if wanted.folder is None else wanted.folder.rstrip("/")
    tag = None if wanted.tag is None else wanted.tag.strip()
    rows = await connection.fetch(_SELECT + _FILTERED, after, folder, tag, wanted.search, limit)
    return [Block(**row) for row in rows]


async def get(connection: Connection, block_id: int) -> Block | None:
    row = await connection.fetchrow(_SELECT + " AND blocks.id = $1", block_id)
    return None if row is None else Block(**row)


async def of_ids(connection: Connection, ids: Sequence[int]) -> list[Block]:
    """Those of the ids that there are, by id."""
    rows = await connection.fetch(_SELECT + " AND blocks.id = ANY($1) ORDER BY blocks.id", ids)
    return [Block(**row) for row in rows]


async def insert(connection: Connection, block: BlockSettings) -> int:
    """The id of the new block."""
    block_id: int = await connection.fetchval("INSERT INTO blocks DEFAULT VALUES RETURNING id")
    await connection.execute(_INSERT_VERSION, block_id, 1, block.title, block.content, block.tags, block.folder_path)
    return block_id


async def add_version(connection: Connection, block_id: int, block: BlockSettings) -> None:
    version = await connection.fetchval(_NEXT_VERSION, block_id)
    await connection.execute(
        _INSERT_VERSION, block_id, version, block.title, block.content, block.tags, block.folder_path
    )


async def delete(connection: Connection, block_id: int) -> None:
    await connection.execute("UPDATE blocks SET deleted_at = now() WHERE id = $1", block_id)


async def version(connection: Connection, block_id: int, number: int) -> BlockVersion | None:
    row = await connection.fetchrow(_VERSIONS + " AND version = $2", block_id, number)
    return None if row is None else BlockVersion(**row)


async def versions(connection: Connection, block_id: int, *, limit: int, offset: int) -> tuple[list[BlockVersion], int]:
    """Newest first, and how many there are."""
    total: int = await connection.fetchval("SELECT version FROM blocks WHERE id = $1", block_id)
    return [BlockVersion(**row) for row in await connection.fetch(_VERSION_PAGE, block_id, limit, offset)], total
