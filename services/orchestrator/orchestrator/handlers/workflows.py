"""Workflows for their callers: listed, made, changed, deleted, exported and imported (document C)."""

from common.database import Connection
from contracts import workflows as contract
from contracts.workflows import (
    CreateWorkflow,
    GetWorkflow,
    ListWorkflows,
    ListWorkflowVersions,
    RestoreWorkflow,
    UpdateWorkflow,
    Workflow,
    WorkflowDocument,
    WorkflowPage,
    WorkflowVersionPage,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.workflows.documents import check, document, translated
from orchestrator.domain.workflows.records import (
    WorkflowSettings,
    block_settings,
    changed_workflow,
    workflow_settings,
)
from orchestrator.domain.workflows.refusals import unknown
from orchestrator.domain.workflows.snapshots import snapshot
from orchestrator.handlers.payloads import check_blocks
from orchestrator.store import blocks, definitions, payloads, workflows


@HANDLERS.on(contract.LIST_WORKFLOWS)
async def list_workflows(deps: Deps, request: ListWorkflows) -> WorkflowPage:
    async with deps.database.connection() as connection:
        found = await workflows.listed(connection, request, after=request.after, limit=pages.MOST + 1)
    fitting = pages.fitting(found[: pages.MOST])
    return WorkflowPage(workflows=fitting, more=len(fitting) < len(found))


@HANDLERS.on(contract.CREATE_WORKFLOW)
async def create_workflow(deps: Deps, request: CreateWorkflow) -> Workflow:
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        return await _insert(connection, workflow_settings(request))


@HANDLERS.on(contract.GET_WORKFLOW)
async def get_workflow(deps: Deps, request: GetWorkflow) -> Workflow:
    async with deps.database.connection() as connection:
        return await _known(connection, request.workflow_id)


@HANDLERS.on(contract.UPDATE_WORKFLOW)
async def update_workflow(deps: Deps, request: UpdateWorkflow) -> Workflow:
    """Anything else than before is the next version."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        workflow = await _known(connection, request.workflow_id)
        return await _change(connection, workflow, changed_workflow(workflow, request))


@HANDLERS.on(contract.RESTORE_WORKFLOW)
async def restore_workflow(deps: Deps, request: RestoreWorkflow) -> Workflow:
    """Refused as a change to the same would be: what it refers to may be gone."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        workflow = await _known(connection, request.workflow_id)
        earlier = await workflows.version(connection, workflow.id, request.version)
        if earlier is None:
            raise not_found("Version", request.version)
        return await _change(connection, workflow, workflow_settings(earlier))


async def _change(connection: Connection, workflow: Workflow, settings: WorkflowSettings) -> Workflow:
    if settings == workflow_settings(workflow):
        return workflow
    await _check_payloads(connection, settings)
    await workflows.add_version(connection, workflow.id, settings)
    await _check(connection, workflow.id)
    return await _known(connection, workflow.id)


@HANDLERS.on(contract.DELETE_WORKFLOW)
async def delete_workflow(deps: Deps, request: GetWorkflow) -> Workflow:
    """What it was. Its runs are kept."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        workflow = await _known(connection, request.workflow_id)
        await workflows.delete(connection, workflow.id)
    return workflow


@HANDLERS.on(contract.LIST_WORKFLOW_VERSIONS)
async def list_workflow_versions(deps: Deps, request: ListWorkflowVersions) -> WorkflowVersionPage:
    async with deps.database.connection() as connection:
        await _known(connection, request.workflow_id)
        found, total = await workflows.versions(
            connection, request.workflow_id, limit=request.limit, offset=request.offset
        )
    return WorkflowVersionPage.of(pages.fitting(found), total, request)


# One JSON file


@HANDLERS.on(contract.EXPORT_WORKFLOW)
async def export_workflow(deps: Deps, request: GetWorkflow) -> WorkflowDocument:
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        current = await workflows.current(connection, request.workflow_id)
        if current is None:
            raise not_found("Workflow", request.workflow_id)
        ids = {block.id for payload in current.payloads for block in payload.blocks}
        used = await blocks.of_ids(connection, sorted(ids))
    return document(current, used)


@HANDLERS.on(contract.IMPORT_WORKFLOW)
async def import_workflow(deps: Deps, request: WorkflowDocument) -> Workflow:
    """Makes all that the document holds anew, or nothing."""
    check(request)
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        new_blocks = {block.id: await blocks.insert(connection, block_settings(block)) for block in request.blocks}
        # All of them have ids before any is written that may refer to them.
        new_payloads = {payload.id: await payloads.reserve(connection) for payload in request.payloads}
        for payload in request.payloads:
            settings = translated(payload, new_blocks, new_payloads)
            await check_blocks(connection, settings)
            await payloads.write(connection, new_payloads[payload.id], 1, settings)
        order = [new_payloads[number] for number in request.workflow]
        return await _insert(connection, WorkflowSettings(request.name, request.inputs, order))


async def _insert(connection: Connection, settings: WorkflowSettings) -> Workflow:
    await _check_payloads(connection, settings)
    workflow_id = await workflows.insert(connection, settings)
    await _check(connection, workflow_id)
    return await _known(connection, workflow_id)


async def _check_payloads(connection: Connection, settings: WorkflowSettings) -> None:
    """Raises `Refused(INVALID)` naming the payloads that there are not."""
    known = await payloads.known(connection, settings.payloads)
    if missing := [number for number in settings.payloads if number not in known]:
        raise unknown("payloads", missing)


async def _check(connection: Connection, workflow_id: int) -> None:
    """Raises `Refused(INVALID)` where no run could pin the workflow as it has been written."""
    current = await workflows.current(connection, workflow_id)
    assert current is not None  # noqa: S101 - it has just been written
    snapshot(current)


async def _known(connection: Connection, workflow_id: int) -> Workflow:
    """Raises `Refused(NOT_FOUND)`."""
    workflow = await workflows.get(connection, workflow_id)
    if workflow is None:
        raise not_found("Workflow", workflow_id)
    return workflow
