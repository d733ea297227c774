"""Webhooks of workflows. Those of a deleted workflow open nothing."""

from dataclasses import dataclass

from common.database import Connection, Record
from contracts.triggers import Webhook
from orchestrator.domain.workflows.webhooks import Secret

_COLUMNS = """
    id, workflow AS workflow_id, name, salt IS NOT NULL AS signed, enabled, owner, last_at, last_run, created_at,
    updated_at
"""
_GET = f"SELECT {_COLUMNS} FROM webhooks WHERE workflow = $1 AND id = $2"  # noqa: S608 - constants
_PAGE = f"SELECT {_COLUMNS} FROM webhooks WHERE workflow = $1 ORDER BY id LIMIT $2 OFFSET $3"  # noqa: S608
_INSERT = f"""
    INSERT INTO webhooks (workflow, owner, name, digest, salt, enabled)
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}
"""  # noqa: S608
_UPDATE = f"""
    UPDATE webhooks SET name = $2, enabled = $3, updated_at = now() WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
_OPEN = """
    SELECT webhooks.id, workflow AS workflow_id, owner, digest, salt
    FROM webhooks JOIN workflows ON workflows.id = webhooks.workflow
    WHERE webhooks.id = $1 AND enabled AND workflows.deleted_at IS NULL
"""
_USED = """
    UPDATE webhooks SET last_at = clock_timestamp(), last_run = (SELECT id FROM workflow_runs WHERE id = $2)
    WHERE id = $1
"""


@dataclass(frozen=True)
class OpenHook:
    """A webhook that may be called."""

    id: int
    workflow_id: int
    owner: str
    digest: bytes
    salt: bytes | None


async def insert(
    connection: Connection, workflow_id: int, owner: str, name: str, secret: Secret, *, enabled: bool
) -> Webhook:
    row = await connection.fetchrow(_INSERT, workflow_id, owner, name, secret.digest, secret.salt, enabled)
    return _webhook(row)


async def get(connection: Connection, workflow_id: int, webhook_id: int, *, lock: bool = False) -> Webhook | None:
    row = await connection.fetchrow(_GET + (" FOR UPDATE" if lock else ""), workflow_id, webhook_id)
    return None if row is None else _webhook(row)


async def page(connection: Connection, workflow_id: int, *, limit: int, offset: int) -> tuple[list[Webhook], int]:
    """By id, and how many there are."""
    rows = await connection.fetch(_PAGE, workflow_id, limit, offset)
    return [_webhook(row) for row in rows], await count(connection, workflow_id)


async def count(connection: Connection, workflow_id: int) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM webhooks WHERE workflow = $1", workflow_id)
    return found


async def update(connection: Connection, webhook_id: int, *, name: str, enabled: bool) -> Webhook:
    return _webhook(await connection.fetchrow(_UPDATE, webhook_id, name, enabled))


async def delete(connection: Connection, webhook_id: int) -> None:
    await connection.execute("DELETE FROM webhooks WHERE id = $1", webhook_id)


async def find_open(connection: Connection, webhook_id: int) -> OpenHook | None:
    """The webhook where it may be called now."""
    row = await connection.fetchrow(_OPEN, webhook_id)
    return None if row is None else OpenHook(**row)


async def used(connection: Connection, webhook_id: int, run_id: int) -> None:
    """That it has just started that run."""
    await connection.execute(_USED, webhook_id, run_id)


def _webhook(row: Record | None) -> Webhook:
    assert row is not None  # noqa: S101 - there, or just written
    return Webhook.model_validate(dict(row))
