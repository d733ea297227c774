"""Profiles and roles: the named system prompts of tasks."""

from typing import Literal

from common.database import Connection
from contracts.tasks import Persona, PutPersona

PersonaKind = Literal["profile", "role"]

_SELECT = "SELECT name, system_prompt, description, created_at, updated_at FROM personas"
_RETURNING = " RETURNING name, system_prompt, description, created_at, updated_at"
_PUT = """
    INSERT INTO personas (kind, name, system_prompt, description) VALUES ($1, $2, $3, $4)
    ON CONFLICT (kind, name) DO UPDATE SET system_prompt = $3, description = $4, updated_at = clock_timestamp()
"""


async def get(connection: Connection, kind: PersonaKind, name: str) -> Persona | None:
    row = await connection.fetchrow(_SELECT + " WHERE kind = $1 AND name = $2", kind, name)
    return None if row is None else Persona(**row)


async def names(connection: Connection, kind: PersonaKind) -> list[str]:
    rows = await connection.fetch("SELECT name FROM personas WHERE kind = $1 ORDER BY name", kind)
    return [row["name"] for row in rows]


async def system_prompts(connection: Connection, *, profile: str, role: str) -> dict[PersonaKind, str]:
    """The system prompts of the profile and the role, as far as they are there."""
    sql = "SELECT kind, system_prompt FROM personas WHERE (kind, name) IN (('profile', $1), ('role', $2))"
    return {row["kind"]: row["system_prompt"] for row in await connection.fetch(sql, profile, role)}


async def page(connection: Connection, kind: PersonaKind, *, limit: int, offset: int) -> tuple[list[Persona], int]:
    """By name, and how many there are."""
    total: int = await connection.fetchval("SELECT count(*) FROM personas WHERE kind = $1", kind)
    rows = await connection.fetch(_SELECT + " WHERE kind = $1 ORDER BY name LIMIT $2 OFFSET $3", kind, limit, offset)
    return [Persona(**row) for row in rows], total


async def put(connection: Connection, kind: PersonaKind, persona: PutPersona) -> Persona:
    row = await connection.fetchrow(_PUT + _RETURNING, kind, persona.name, persona.system_prompt, persona.description)
    assert row is not None  # noqa: S101 - it is there now
    return Persona(**row)


async def delete(connection: Connection, kind: PersonaKind, name: str) -> Persona | None:
    """What it was; None when there was none."""
    sql = "DELETE FROM personas WHERE kind = $1 AND name = $2"
    row = await connection.fetchrow(sql + _RETURNING, kind, name)
    return None if row is None else Persona(**row)
