"""API keys. The secret itself is never here."""

import uuid

from common import outbox
from common.database import Connection, Record
from contracts.gateway import KEY_CHANGED, KeyChanged
from gateway.domain.keys import ApiKey, MintedKey, NewApiKey, StoredKey


async def add_key(connection: Connection, minted: MintedKey, new: NewApiKey, created_by: str) -> ApiKey:
    """Enters a key, and tells every gateway process once the transaction has committed."""
    row = await connection.fetchrow(
        "INSERT INTO api_keys (name, role, response_style, allowed_models, requests_per_minute, budget, expires_at,"
        " key_id, digest, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
        *_options(new),
        minted.key_id,
        minted.digest,
        created_by,
    )
    assert row is not None  # noqa: S101 - an insert that returns
    await _tell_change(connection, minted.key_id)
    return _key(row)


async def get_key(connection: Connection, key_id: str) -> ApiKey | None:
    """The key, a revoked one too. None when there is no such key."""
    row = await connection.fetchrow("SELECT * FROM api_keys WHERE key_id = $1", key_id)
    return None if row is None else _key(row)


async def lock_key(connection: Connection, key_id: str) -> ApiKey | None:
    """The key, which nobody else changes until the transaction ends. None when there is no such key."""
    row = await connection.fetchrow("SELECT * FROM api_keys WHERE key_id = $1 FOR UPDATE", key_id)
    return None if row is None else _key(row)


async def change_key(connection: Connection, key_id: str, new: NewApiKey) -> ApiKey:
    """Gives a key, which is there, the options of `new`."""
    row = await connection.fetchrow(
        "UPDATE api_keys SET name = $1, role = $2, response_style = $3, allowed_models = $4, requests_per_minute = $5,"
        " budget = $6, expires_at = $7 WHERE key_id = $8 RETURNING *",
        *_options(new),
        key_id,
    )
    assert row is not None  # noqa: S101 - it is locked
    await _tell_change(connection, key_id)
    return _key(row)


async def revoke_key(connection: Connection, key_id: str) -> ApiKey | None:
    """Ends a key for good; one that was revoked already stays as it is. None when there is no such key."""
    row = await connection.fetchrow(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE key_id = $1 RETURNING *", key_id
    )
    if row is None:
        return None
    await _tell_change(connection, key_id)
    return _key(row)


async def list_keys(
    connection: Connection, limit: int, offset: int, *, include_revoked: bool
) -> tuple[list[ApiKey], int]:
    """A page of keys, newest first, and how many there are in all."""
    rows = await connection.fetch(
        "SELECT * FROM api_keys WHERE $3 OR revoked_at IS NULL ORDER BY created_at DESC, key_id LIMIT $1 OFFSET $2",
        limit,
        offset,
        include_revoked,
    )
    total = await connection.fetchval("SELECT count(*) FROM api_keys WHERE $1 OR revoked_at IS NULL", include_revoked)
    return [_key(row) for row in rows], total


async def valid_keys(connection: Connection) -> list[StoredKey]:
    rows = await connection.fetch("SELECT * FROM api_keys WHERE revoked_at IS NULL")
    return [StoredKey(_key(row), row["digest"]) for row in rows]


def _options(new: NewApiKey) -> tuple[object, ...]:
    """The columns that may be changed, in the order of the statements above."""
    budget = None if new.budget is None else new.budget.model_dump()
    return (
        new.name,
        new.role,
        new.response_style,
        new.allowed_models,
        new.requests_per_minute,
        budget,
        new.expires_at,
    )


async def _tell_change(connection: Connection, key_id: str) -> None:
    await outbox.add(connection, KEY_CHANGED, KeyChanged(key_id=key_id), message_id=f"key-{uuid.uuid4().hex}")


def _key(row: Record) -> ApiKey:
    return ApiKey.model_validate({name: row[name] for name in ApiKey.model_fields})
