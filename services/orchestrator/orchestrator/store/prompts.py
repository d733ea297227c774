"""Prompts and their versions. A deleted prompt is kept for what ran with it, and found by nobody else."""

from collections.abc import Sequence

from common.database import Connection
from contracts.prompts import Prompt, PromptVersion

_SELECT = """
    SELECT prompts.id, prompts.name, newest.content, newest.variables, prompts.version,
        prompts.created_at, prompts.updated_at
    FROM prompts JOIN prompt_versions AS newest ON newest.prompt = prompts.id AND newest.version = prompts.version
    WHERE prompts.deleted_at IS NULL
"""
_INSERT = "INSERT INTO prompts (name) VALUES ($1) RETURNING id"
_INSERT_VERSION = "INSERT INTO prompt_versions (prompt, version, content, variables) VALUES ($1, $2, $3, $4)"
_NEW_VERSION = "UPDATE prompts SET version = $2, updated_at = clock_timestamp() WHERE id = $1"
_DELETE = "UPDATE prompts SET deleted_at = clock_timestamp() WHERE id = $1"
_VERSIONS = """
    SELECT version, content, variables, created_at FROM prompt_versions WHERE prompt = $1
    ORDER BY version DESC LIMIT $2 OFFSET $3
"""


async def listed(connection: Connection, *, after: int, limit: int) -> list[Prompt]:
    """By id."""
    rows = await connection.fetch(_SELECT + " AND prompts.id > $1 ORDER BY prompts.id LIMIT $2", after, limit)
    return [Prompt(**row) for row in rows]


async def get(connection: Connection, prompt_id: int) -> Prompt | None:
    row = await connection.fetchrow(_SELECT + " AND prompts.id = $1", prompt_id)
    return None if row is None else Prompt(**row)


async def lock(connection: Connection, prompt_id: int) -> Prompt | None:
    """The prompt, which changes for nobody else until the transaction ends."""
    # A statement of its own: one that had to wait would pair the new prompt with the versions it saw before.
    await connection.execute("SELECT FROM prompts WHERE id = $1 FOR UPDATE", prompt_id)
    return await get(connection, prompt_id)


async def named(connection: Connection, name: str) -> Prompt | None:
    row = await connection.fetchrow(_SELECT + " AND prompts.name = $1", name)
    return None if row is None else Prompt(**row)


async def insert(connection: Connection, name: str, content: str, variables: Sequence[str]) -> int:
    """The id of the new prompt. Raises `UniqueViolation` when the name is taken."""
    prompt_id: int = await connection.fetchval(_INSERT, name)
    await connection.execute(_INSERT_VERSION, prompt_id, 1, content, variables)
    return prompt_id


async def add_version(connection: Connection, prompt: Prompt, content: str, variables: Sequence[str]) -> None:
    """Gives a locked prompt its next version."""
    version = prompt.version + 1
    await connection.execute(_INSERT_VERSION, prompt.id, version, content, variables)
    await connection.execute(_NEW_VERSION, prompt.id, version)


async def rename(connection: Connection, prompt_id: int, name: str) -> None:
    """Raises `UniqueViolation` when the name is taken."""
    sql = "UPDATE prompts SET name = $2, updated_at = clock_timestamp() WHERE id = $1"
    await connection.execute(sql, prompt_id, name)


async def delete(connection: Connection, prompt_id: int) -> None:
    await connection.execute(_DELETE, prompt_id)


async def has_version(connection: Connection, prompt_id: int, version: int) -> bool:
    sql = "SELECT EXISTS (SELECT FROM prompt_versions WHERE prompt = $1 AND version = $2)"
    found: bool = await connection.fetchval(sql, prompt_id, version)
    return found


async def versions(connection: Connection, prompt_id: int, *, limit: int, offset: int) -> list[PromptVersion]:
    """Newest first."""
    return [PromptVersion(**row) for row in await connection.fetch(_VERSIONS, prompt_id, limit, offset)]
