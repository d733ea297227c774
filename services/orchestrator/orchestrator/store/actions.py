"""Actions, each with the version of its prompt that it runs with. A deleted one is kept for its runs alone."""

from common.database import Connection, Record
from orchestrator.domain.actions.purposes import Purpose
from orchestrator.domain.actions.records import ActionRecord, ActionSettings

_SELECT = """
    SELECT actions.id, actions.name, actions.description, actions.input_field, actions.output_field, actions.model,
        actions.status, actions.prompt AS prompt_id, actions.prompt_version, actions.temperature, actions.max_tokens,
        actions.purpose, actions.created_at, actions.updated_at, prompts.name AS prompt_name,
        versions.id AS version_id, versions.version, versions.content, versions.variables
    FROM actions
    JOIN prompts ON prompts.id = actions.prompt
    JOIN prompt_versions AS versions
        ON versions.prompt = prompts.id AND versions.version = coalesce(actions.prompt_version, prompts.version)
    WHERE actions.deleted_at IS NULL
"""
_INSERT = """
    INSERT INTO actions
        (name, description, input_field, output_field, model, status, prompt, prompt_version, temperature, max_tokens)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id
"""
_UPDATE = """
    UPDATE actions SET name = $2, description = $3, input_field = $4, output_field = $5, model = $6, status = $7,
        prompt = $8, prompt_version = $9, temperature = $10, max_tokens = $11, updated_at = clock_timestamp()
    WHERE id = $1
"""


async def listed(connection: Connection, *, after: int, limit: int) -> list[ActionRecord]:
    """By id."""
    rows = await connection.fetch(_SELECT + " AND actions.id > $1 ORDER BY actions.id LIMIT $2", after, limit)
    return [_record(row) for row in rows]


async def get(connection: Connection, action_id: int) -> ActionRecord | None:
    row = await connection.fetchrow(_SELECT + " AND actions.id = $1", action_id)
    return None if row is None else _record(row)


async def lock(connection: Connection, action_id: int) -> ActionRecord | None:
    """The action, which changes for nobody else until the transaction ends."""
    # A statement of its own: one that had to wait would pair the new action with the prompt it saw before.
    await connection.execute("SELECT FROM actions WHERE id = $1 FOR UPDATE", action_id)
    return await get(connection, action_id)


async def of_purpose(connection: Connection, purpose: Purpose) -> ActionRecord | None:
    row = await connection.fetchrow(_SELECT + " AND actions.purpose = $1", purpose.value)
    return None if row is None else _record(row)


async def of_prompt(connection: Connection, prompt_id: int) -> list[ActionRecord]:
    """By id."""
    rows = await connection.fetch(_SELECT + " AND actions.prompt = $1 ORDER BY actions.id", prompt_id)
    return [_record(row) for row in rows]


async def of_input(connection: Connection, input_field: str, *, limit: int) -> list[ActionRecord]:
    """Those that read a field, the one saved last first."""
    sql = _SELECT + " AND actions.input_field = $1 ORDER BY actions.updated_at DESC, actions.id DESC LIMIT $2"
    return [_record(row) for row in await connection.fetch(sql, input_field, limit)]


async def insert(connection: Connection, action: ActionSettings) -> int:
    """The id of the new action."""
    action_id: int = await connection.fetchval(_INSERT, *_values(action))
    return action_id


async def update(connection: Connection, action_id: int, action: ActionSettings) -> None:
    await connection.execute(_UPDATE, action_id, *_values(action))


async def delete(connection: Connection, action_id: int) -> None:
    await connection.execute("UPDATE actions SET deleted_at = clock_timestamp() WHERE id = $1", action_id)


def _values(action: ActionSettings) -> tuple[object, ...]:
    return (
        action.name,
        action.description,
        action.input_field,
        action.output_field,
        action.model,
        action.status,
        action.prompt_id,
        action.prompt_version,
        action.temperature,
        action.max_tokens,
    )


def _record(row: Record) -> ActionRecord:
    values = dict(row)
    purpose = values.pop("purpose")
    return ActionRecord(purpose=None if purpose is None else Purpose(purpose), **values)
