"""Posts and their sections."""

from common.database import Connection
from contracts.content import Post, Section

_POST = "SELECT id, title, summary, created_at, updated_at FROM posts"
_POST_BACK = " RETURNING id, title, summary, created_at, updated_at"
_SECTION = "SELECT id, post_id, position, title, content, created_at, updated_at FROM sections"
_SECTION_BACK = " RETURNING id, post_id, position, title, content, created_at, updated_at"

_INSERT_POST = "INSERT INTO posts (title, summary) VALUES ($1, $2)"
_UPDATE_POST = """
    UPDATE posts SET title = coalesce($2, title), summary = coalesce($3, summary), updated_at = clock_timestamp()
    WHERE id = $1
"""
_INSERT_SECTION = """
    INSERT INTO sections (post_id, position, title, content)
    SELECT posts.id,
        coalesce($2, (SELECT max(position) + 1 FROM sections WHERE post_id = posts.id), 0), $3, $4
    FROM posts WHERE posts.id = $1
"""
_UPDATE_SECTION = """
    UPDATE sections SET position = coalesce($3, position), title = coalesce($4, title),
        content = coalesce($5, content), updated_at = clock_timestamp()
    WHERE post_id = $1 AND id = $2
"""


async def page(connection: Connection, *, limit: int, offset: int) -> tuple[list[Post], int]:
    """Newest first, and how many there are."""
    total: int = await connection.fetchval("SELECT count(*) FROM posts")
    rows = await connection.fetch(_POST + " ORDER BY id DESC LIMIT $1 OFFSET $2", limit, offset)
    return [Post(**row) for row in rows], total


async def insert(connection: Connection, title: str, summary: str) -> Post:
    row = await connection.fetchrow(_INSERT_POST + _POST_BACK, title, summary)
    assert row is not None  # noqa: S101 - it is there now
    return Post(**row)


async def get(connection: Connection, post_id: int) -> Post | None:
    row = await connection.fetchrow(_POST + " WHERE id = $1", post_id)
    return None if row is None else Post(**row)


async def update(connection: Connection, post_id: int, *, title: str | None, summary: str | None) -> Post | None:
    """Changes what is not None."""
    row = await connection.fetchrow(_UPDATE_POST + _POST_BACK, post_id, title, summary)
    return None if row is None else Post(**row)


async def delete(connection: Connection, post_id: int) -> Post | None:
    """What it was; its sections go with it."""
    sql = "DELETE FROM posts WHERE id = $1"
    row = await connection.fetchrow(sql + _POST_BACK, post_id)
    return None if row is None else Post(**row)


async def sections(connection: Connection, post_id: int, *, limit: int, offset: int) -> tuple[list[Section], int]:
    """In order, and how many there are."""
    total: int = await connection.fetchval("SELECT count(*) FROM sections WHERE post_id = $1", post_id)
    sql = _SECTION + " WHERE post_id = $1 ORDER BY position, id LIMIT $2 OFFSET $3"
    rows = await connection.fetch(sql, post_id, limit, offset)
    return [Section(**row) for row in rows], total


async def insert_section(
    connection: Connection, post_id: int, *, title: str, content: str, position: int | None
) -> Section | None:
    """The new section, last where no position is given; None where there is no such post."""
    row = await connection.fetchrow(_INSERT_SECTION + _SECTION_BACK, post_id, position, title, content)
    return None if row is None else Section(**row)


async def section(connection: Connection, section_id: int) -> Section | None:
    row = await connection.fetchrow(_SECTION + " WHERE id = $1", section_id)
    return None if row is None else Section(**row)


async def update_section(
    connection: Connection,
    post_id: int,
    section_id: int,
    *,
    position: int | None,
    title: str | None,
    content: str | None,
) -> Section | None:
    """Changes what is not None."""
    row = await connection.fetchrow(_UPDATE_SECTION + _SECTION_BACK, post_id, section_id, position, title, content)
    return None if row is None else Section(**row)


async def delete_section(connection: Connection, post_id: int, section_id: int) -> Section | None:
    """What it was."""
    sql = "DELETE FROM sections WHERE post_id = $1 AND id = $2"
    row = await connection.fetchrow(sql + _SECTION_BACK, post_id, section_id)
    return None if row is None else Section(**row)
