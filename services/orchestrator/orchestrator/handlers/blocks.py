"""Blocks for their callers: listed, made, changed, deleted, and the versions that they had (document C)."""

from dataclasses import replace

from common.database import Connection
from contracts import workflows as contract
from contracts.workflows import (
    LONGEST_PROMPT,
    Block,
    BlockPage,
    BlockVersionPage,
    CreateBlock,
    DeleteBlock,
    GetBlock,
    ListBlocks,
    ListBlockVersions,
    RestoreBlock,
    UpdateBlock,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.workflows.records import BlockSettings, block_settings, changed_block, payload_settings
from orchestrator.domain.workflows.refusals import in_use
from orchestrator.domain.workflows.snapshots import check_length, too_long
from orchestrator.store import blocks, definitions, payloads, workflows


@HANDLERS.on(contract.LIST_BLOCKS)
async def list_blocks(deps: Deps, request: ListBlocks) -> BlockPage:
    async with deps.database.connection() as connection:
        found = await blocks.listed(connection, request, after=request.after, limit=pages.MOST + 1)
    fitting = pages.fitting(found[: pages.MOST])
    return BlockPage(blocks=fitting, more=len(fitting) < len(found))


@HANDLERS.on(contract.CREATE_BLOCK)
async def create_block(deps: Deps, request: CreateBlock) -> Block:
    async with deps.database.transaction() as connection:
        return await _known(connection, await blocks.insert(connection, block_settings(request)))


@HANDLERS.on(contract.GET_BLOCK)
async def get_block(deps: Deps, request: GetBlock) -> Block:
    async with deps.database.connection() as connection:
        return await _known(connection, request.block_id)


@HANDLERS.on(contract.UPDATE_BLOCK)
async def update_block(deps: Deps, request: UpdateBlock) -> Block:
    """Another text or title is the next version; the same one is none."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        block = await _known(connection, request.block_id)
        return await _change(connection, block, changed_block(block, request))


@HANDLERS.on(contract.RESTORE_BLOCK)
async def restore_block(deps: Deps, request: RestoreBlock) -> Block:
    """What it was in that version is the next one."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        block = await _known(connection, request.block_id)
        earlier = await blocks.version(connection, block.id, request.version)
        if earlier is None:
            raise not_found("Version", request.version)
        return await _change(connection, block, block_settings(earlier))


async def _change(connection: Connection, block: Block, settings: BlockSettings) -> Block:
    if settings == block_settings(block):
        return block
    await blocks.add_version(connection, block.id, settings)
    if len(settings.content) > len(block.content):
        await _check_users(connection, block.id)
    return await _known(connection, block.id)


async def _check_users(connection: Connection, block_id: int) -> None:
    """Raises `Refused(INVALID)` naming a payload or a workflow that has become too long."""
    for payload in await payloads.using(connection, block_id):
        if (length := sum(len(block.content) for block in payload.blocks)) > LONGEST_PROMPT:
            raise too_long(f"payload {payload.name!r}", length, LONGEST_PROMPT)
    for workflow in await workflows.using_block(connection, block_id):
        check_length(workflow)


@HANDLERS.on(contract.DELETE_BLOCK)
async def delete_block(deps: Deps, request: DeleteBlock) -> Block:
    """What it was. Raises `Refused(CONFLICT)` naming the payloads that use it, unless it is forced out of them."""
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        block = await _known(connection, request.block_id)
        users = await payloads.using(connection, block.id)
        if users and not request.force:
            raise in_use("block", "payloads", [(user.name, user.id) for user in users])
        for user in users:
            left = [used.id for used in user.blocks if used.id != block.id]
            await payloads.add_version(connection, user.id, replace(payload_settings(user), blocks=left))
        await blocks.delete(connection, block.id)
    return block


@HANDLERS.on(contract.LIST_BLOCK_VERSIONS)
async def list_block_versions(deps: Deps, request: ListBlockVersions) -> BlockVersionPage:
    async with deps.database.connection() as connection:
        await _known(connection, request.block_id)
        found, total = await blocks.versions(connection, request.block_id, limit=request.limit, offset=request.offset)
    return BlockVersionPage.of(pages.fitting(found), total, request)


async def _known(connection: Connection, block_id: int) -> Block:
    """Raises `Refused(NOT_FOUND)`."""
    block = await blocks.get(connection, block_id)
    if block is None:
        raise not_found("Block", block_id)
    return block
