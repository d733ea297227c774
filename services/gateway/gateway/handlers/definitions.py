"""Blocks, payloads and workflows as document C lists them: whole, although the bus tells long lists in parts."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from aiohttp import web

from contracts.base import Message, Rpc
from contracts.workflows import LIST_BLOCKS, LIST_PAYLOADS, LIST_WORKFLOWS, BlockPage, PayloadPage, WorkflowPage
from gateway.deps import Deps
from gateway.domain.orchestration import block_array, payload_array, workflow_array
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.routes.table import Route

PageT = TypeVar("PageT", BlockPage, PayloadPage, WorkflowPage)


async def list_blocks(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    pages = _pages(deps, LIST_BLOCKS, await read_request(request, route), lambda page: page.blocks[-1].id)
    return json_response(block_array([block async for page in pages for block in page.blocks]))


async def list_payloads(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    pages = _pages(deps, LIST_PAYLOADS, await read_request(request, route), lambda page: page.payloads[-1].id)
    found = [payload async for page in pages for payload in page.payloads]
    return json_response(payload_array(found), omit_absent=True)


async def list_workflows(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    pages = _pages(deps, LIST_WORKFLOWS, await read_request(request, route), lambda page: page.workflows[-1].id)
    found = [workflow async for page in pages for workflow in page.workflows]
    return json_response(workflow_array(found), omit_absent=True)


async def _pages(
    deps: Deps, rpc: Rpc[Any, PageT], wanted: Message, last: Callable[[PageT], int]
) -> AsyncIterator[PageT]:
    """All pages of what the filter `wanted` lets through, each from the id after the `last` of the one before."""
    given = wanted.model_dump()
    page = await deps.bus.ask(rpc, rpc.request(**given))
    yield page
    while page.more:
        page = await deps.bus.ask(rpc, rpc.request(**given, after=last(page)))
        yield page
