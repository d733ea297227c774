"""Payloads for their callers: listed, made, changed, deleted, and the versions that they had (document C)."""

from dataclasses import replace

from common.database import Connection
from contracts import workflows as contract
from contracts.workflows import (
    LONGEST_PROMPT,
    CreatePayload,
    DeletePayload,
    GetPayload,
    ListPayloads,
    ListPayloadVersions,
    Payload,
    PayloadPage,
    PayloadPreview,
    PayloadVersionPage,
    PreviewPayload,
    RestorePayload,
    UpdatePayload,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.workflows.records import PayloadSettings, changed_payload, payload_settings
from orchestrator.domain.workflows.refusals import in_use, unknown
from orchestrator.domain.workflows.rendering import preview
from orchestrator.domain.workflows.snapshots import snapshot, too_long
from orchestrator.store import blocks, definitions, payloads, workflows


@HANDLERS.on(contract.LIST_PAYLOADS)
async def list_payloads(deps: Deps, request: ListPayloads) -> PayloadPage:
    async with deps.database.connection() as connection:
        found = await payloads.listed(connection, request, after=request.after, limit=pages.MOST + 1)
    fitting = pages.fitting(found[: pages.MOST])
    return PayloadPage(payloads=fitting, more=len(fitting) < len(found))


@HANDLERS.on(contract.CREATE_PAYLOAD)
async def create_payload(deps: Deps, request: CreatePayload) -> Payload:
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        settings = payload_settings(request)
        await check_blocks(connection, settings)
        return await _known(connection, await payloads.insert(connection, settings))


@HANDLERS.on(contract.GET_PAYLOAD)
async def get_payload(deps: Deps, request: GetPayload) -> Payload:
    async with deps.database.connection() as connection:
        return await _known(connection, request.payload_id)


@HANDLERS.on(contract.UPDATE_PAYLOAD)
async def update_payload(deps: Deps, request: UpdatePayload) -> Payload:
    """Anything else than before is the next version. Raises `Refused(INVALID)`, also for what breaks a workflow."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        payload = await _known(connection, request.payload_id)
        return await _change(connection, payload, changed_payload(payload, request))


@HANDLERS.on(contract.RESTORE_PAYLOAD)
async def restore_payload(deps: Deps, request: RestorePayload) -> Payload:
    """Refused as a change to the same would be: what it refers to may be gone."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        payload = await _known(connection, request.payload_id)
        earlier = await payloads.version(connection, payload.id, request.version)
        if earlier is None:
            raise not_found("Version", request.version)
        return await _change(connection, payload, payload_settings(earlier))


async def _change(connection: Connection, payload: Payload, settings: PayloadSettings) -> Payload:
    if settings == payload_settings(payload):
        return payload
    await check_blocks(connection, settings)
    await payloads.add_version(connection, payload.id, settings)
    for workflow in await workflows.using_payload(connection, payload.id):
        snapshot(workflow)
    return await _known(connection, payload.id)


@HANDLERS.on(contract.PREVIEW_PAYLOAD)
async def preview_payload(deps: Deps, request: PreviewPayload) -> PayloadPreview:
    """Asks nobody."""
    async with deps.database.connection() as connection:
        return preview(await _known(connection, request.payload_id), request.inputs)


async def check_blocks(connection: Connection, settings: PayloadSettings) -> None:
    """Raises `Refused(INVALID)` naming the blocks that there are not, or for texts that are too long together."""
    lengths = {block.id: len(block.content) for block in await blocks.of_ids(connection, settings.blocks)}
    if missing := [number for number in settings.blocks if number not in lengths]:
        raise unknown("blocks", missing)
    if (length := sum(lengths[number] for number in settings.blocks)) > LONGEST_PROMPT:
        raise too_long(f"payload {settings.name!r}", length, LONGEST_PROMPT)


@HANDLERS.on(contract.DELETE_PAYLOAD)
async def delete_payload(deps: Deps, request: DeletePayload) -> Payload:
    """What it was. Raises `Refused(CONFLICT)` naming the workflows that use it, unless it is forced out of them;
    but where another payload of a workflow refers to it, it stays."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        payload = await _known(connection, request.payload_id)
        users = await workflows.using_payload(connection, payload.id)
        if users and not request.force:
            raise in_use("payload", "workflows", [(user.name, user.workflow_id) for user in users])
        for user in users:
            left = [part for part in user.payloads if part.payload_id != payload.id]
            # Before it is written, so that nothing is kept whose references lead nowhere.
            snapshot(user.model_copy(update={"payloads": left}))
            settings = replace(user.settings, payloads=[part.payload_id for part in left])
            await workflows.add_version(connection, user.workflow_id, settings)
        await payloads.delete(connection, payload.id)
    return payload


@HANDLERS.on(contract.LIST_PAYLOAD_VERSIONS)
async def list_payload_versions(deps: Deps, request: ListPayloadVersions) -> PayloadVersionPage:
    async with deps.database.connection() as connection:
        await _known(connection, request.payload_id)
        found, total = await payloads.versions(
            connection, request.payload_id, limit=request.limit, offset=request.offset
        )
    return PayloadVersionPage.of(pages.fitting(found), total, request)


async def _known(connection: Connection, payload_id: int) -> Payload:
    """Raises `Refused(NOT_FOUND)`."""
    payload = await payloads.get(connection, payload_id)
    if payload is None:
        raise not_found("Payload", payload_id)
    return payload
