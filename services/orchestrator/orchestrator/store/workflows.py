"""Workflows and their versions, each with its payloads in order. A deleted workflow is kept for its runs."""

from common.database import Connection
from contracts.workflows import Workflow, WorkflowFilter, WorkflowVersion
from orchestrator.domain.workflows.records import CurrentWorkflow, WorkflowSettings

_FROM = """
    FROM workflows
    JOIN workflow_versions AS newest ON newest.workflow = workflows.id AND newest.version = workflows.version
    WHERE workflows.deleted_at IS NULL
"""
_SELECT = f"""
    SELECT workflows.id, newest.name, newest.inputs, workflows.created_at, workflows.updated_at,
        (
            SELECT coalesce(jsonb_agg(jsonb_build_object('id', payloads.id, 'name', of_payload.name,
                'order_index', part.order_index) ORDER BY part.order_index), '[]')
            FROM workflow_payloads AS part
            JOIN payloads ON payloads.id = part.payload
            JOIN payload_versions AS of_payload
                ON of_payload.payload = payloads.id AND of_payload.version = payloads.version
            WHERE part.workflow_version = newest.id
        ) AS payloads
    {_FROM}
"""  # noqa: S608 - constants
# One statement sees one state: nothing that changes meanwhile is half in it.
_CURRENT = f"""
    SELECT workflows.id AS workflow_id, workflows.version, newest.name, newest.inputs,
        (
            SELECT coalesce(jsonb_agg(of_payload.options || jsonb_build_object(
                'payload_id', payloads.id, 'version', payloads.version, 'name', of_payload.name,
                'temperature', of_payload.temperature, 'response_length', of_payload.response_length,
                'llm_port', of_payload.llm_port, 'model_format', of_payload.model_format, 'blocks', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('id', blocks.id, 'version', blocks.version,
                        'title', text.title, 'content', text.content) ORDER BY piece.order_index), '[]')
                    FROM payload_blocks AS piece
                    JOIN blocks ON blocks.id = piece.block
                    JOIN block_versions AS text ON text.block = blocks.id AND text.version = blocks.version
                    WHERE piece.payload_version = of_payload.id
                )
            ) ORDER BY part.order_index), '[]')
            FROM workflow_payloads AS part
            JOIN payloads ON payloads.id = part.payload
            JOIN payload_versions AS of_payload
                ON of_payload.payload = payloads.id AND of_payload.version = payloads.version
            WHERE part.workflow_version = newest.id
        ) AS payloads
    {_FROM}
"""  # noqa: S608 - constants
_USES_PAYLOAD = "EXISTS (SELECT FROM workflow_payloads WHERE workflow_version = newest.id AND payload = {})"
_USES_BLOCK = """
    EXISTS (
        SELECT FROM workflow_payloads AS part
        JOIN payloads ON payloads.id = part.payload
        JOIN payload_versions AS of_payload
            ON of_payload.payload = payloads.id AND of_payload.version = payloads.version
        JOIN payload_blocks AS piece ON piece.payload_version = of_payload.id
        WHERE part.workflow_version = newest.id AND piece.block = $1
    )
"""
_FILTERED = f"""
    AND workflows.id > $1
    AND ($2::text IS NULL OR strpos(lower(newest.name), lower($2)) > 0)
    AND ($3::bigint IS NULL OR {_USES_PAYLOAD.format("$3")})
    ORDER BY workflows.id LIMIT $4
"""
_INSERT_VERSION = """
    INSERT INTO workflow_versions (workflow, version, name, inputs) VALUES ($1, $2, $3, $4) RETURNING id
"""
_INSERT_PAYLOADS = """
    INSERT INTO workflow_payloads (workflow_version, order_index, payload)
    SELECT $1, place - 1, payload FROM unnest($2::bigint[]) WITH ORDINALITY AS given (payload, place)
"""
_NEXT_VERSION = "UPDATE workflows SET version = version + 1, updated_at = now() WHERE id = $1 RETURNING version"
_VERSIONS = """
    SELECT version, name, inputs, created_at,
        ARRAY(SELECT payload FROM workflow_payloads WHERE workflow_version = workflow_versions.id ORDER BY order_index)
        AS payloads
    FROM workflow_versions WHERE workflow = $1
"""
_VERSION_PAGE = _VERSIONS + " ORDER BY version DESC LIMIT $2 OFFSET $3"


async def listed(connection: Connection, wanted: WorkflowFilter, *, after: int, limit: int) -> list[Workflow]:
    """By id."""
    rows = await connection.fetch(_SELECT + _FILTERED, after, wanted.search, wanted.payload_id, limit)
    return [Workflow.model_validate(dict(row)) for row in rows]


async def get(connection: Connection, workflow_id: int) -> Workflow | None:
    row = await connection.fetchrow(_SELECT + " AND workflows.id = $1", workflow_id)
    return None if row is None else Workflow.model_validate(dict(row))


async def current(connection: Connection, workflow_id: int) -> CurrentWorkflow | None:
    """The workflow with all that a run of it would pin."""
    row = await connection.fetchrow(_CURRENT + " AND workflows.id = $1", workflow_id)
    return None if row is None else CurrentWorkflow.model_validate(dict(row))


async def using_payload(connection: Connection, payload_id: int) -> list[CurrentWorkflow]:
    """Those that use the payload, by id."""
    sql = f"{_CURRENT} AND {_USES_PAYLOAD.format('$1')} ORDER BY workflows.id"
    return [CurrentWorkflow.model_validate(dict(row)) for row in await connection.fetch(sql, payload_id)]


async def using_block(connection: Connection, block_id: int) -> list[CurrentWorkflow]:
    """Those with a payload that uses the block, by id."""
    sql = f"{_CURRENT} AND {_USES_BLOCK} ORDER BY workflows.id"
    return [CurrentWorkflow.model_validate(dict(row)) for row in await connection.fetch(sql, block_id)]


async def insert(connection: Connection, workflow: WorkflowSettings) -> int:
    """The id of the new workflow."""
    workflow_id: int = await connection.fetchval("INSERT INTO workflows DEFAULT VALUES RETURNING id")
    await _write(connection, workflow_id, 1, workflow)
    return workflow_id


async def add_version(connection: Connection, workflow_id: int, workflow: WorkflowSettings) -> None:
    version: int = await connection.fetchval(_NEXT_VERSION, workflow_id)
    await _write(connection, workflow_id, version, workflow)


async def delete(connection: Connection, workflow_id: int) -> None:
    await connection.execute("UPDATE workflows SET deleted_at = now() WHERE id = $1", workflow_id)


async def version(connection: Connection, workflow_id: int, number: int) -> WorkflowVersion | None:
    row = await connection.fetchrow(_VERSIONS + " AND version = $2", workflow_id, number)
    return None if row is None else WorkflowVersion.model_validate(dict(row))


async def versions(
    connection: Connection, workflow_id: int, *, limit: int, offset: int
) -> tuple[list[WorkflowVersion], int]:
    """Newest first, and how many there are."""
    total: int = await connection.fetchval("SELECT version FROM workflows WHERE id = $1", workflow_id)
    rows = await connection.fetch(_VERSION_PAGE, workflow_id, limit, offset)
    return [WorkflowVersion.model_validate(dict(row)) for row in rows], total


async def _write(connection: Connection, workflow_id: int, version: int, workflow: WorkflowSettings) -> None:
    number = await connection.fetchval(_INSERT_VERSION, workflow_id, version, workflow.name, workflow.inputs)
    await connection.execute(_INSERT_PAYLOADS, number, workflow.payloads)
