"""Blocks, payloads and workflows as document C lists them: whole, although the bus tells long lists in parts."""

from aiohttp import web

from contracts.workflows import (
    LIST_BLOCKS,
    LIST_PAYLOADS,
    LIST_WORKFLOWS,
    ListBlocks,
    ListPayloads,
    ListWorkflows,
)
from gateway.deps import Deps
from gateway.domain.orchestration import block_array, payload_array, workflow_array
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.routes.table import Route


async def list_blocks(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = (await read_request(request, route)).model_dump()
    page = await deps.bus.ask(LIST_BLOCKS, ListBlocks(**wanted))
    found = page.blocks
    while page.more:
        page = await deps.bus.ask(LIST_BLOCKS, ListBlocks(**wanted, after=found[-1].id))
        found += page.blocks
    return json_response(block_array(found))


async def list_payloads(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = (await read_request(request, route)).model_dump()
    page = await deps.bus.ask(LIST_PAYLOADS, ListPayloads(**wanted))
    found = page.payloads
    while page.more:
        page = await deps.bus.ask(LIST_PAYLOADS, ListPayloads(**wanted, after=found[-1].id))
        found += page.payloads
    return json_response(payload_array(found), omit_absent=True)


async def list_workflows(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = (await read_request(request, route)).model_dump()
    page = await deps.bus.ask(LIST_WORKFLOWS, ListWorkflows(**wanted))
    found = page.workflows
    while page.more:
        page = await deps.bus.ask(LIST_WORKFLOWS, ListWorkflows(**wanted, after=found[-1].id))
        found += page.workflows
    return json_response(workflow_array(found), omit_absent=True)
