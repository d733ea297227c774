"""Runs of workflows with all their responses, which the bus tells in parts."""

from typing import cast

from aiohttp import web

from common.bus import Bus
from contracts.workflow_runs import (
    GET_WORKFLOW_RUN,
    LIST_RUN_RESPONSES,
    GetWorkflowRun,
    ListRunResponses,
    RunResponse,
)
from gateway.deps import Deps
from gateway.domain.runs import ResponseArray, RunWithResponses, TwoRuns, compared, with_responses
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.routes.table import Route


async def run_status(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = cast(GetWorkflowRun, await read_request(request, route))
    return json_response(await _whole(deps.bus, wanted.run_id))


async def run_responses(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = cast(GetWorkflowRun, await read_request(request, route))
    return json_response(ResponseArray(await _responses(deps.bus, wanted.run_id)))


async def compare_runs(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    wanted = cast(TwoRuns, await read_request(request, route))
    run, other = await _whole(deps.bus, wanted.run_id), await _whole(deps.bus, wanted.other_id)
    return json_response(compared(run, other))


async def _whole(bus: Bus, run_id: int) -> RunWithResponses:
    # The run first: a response that comes in between is shown rather than missed.
    run = await bus.ask(GET_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))
    return with_responses(run, await _responses(bus, run_id))


async def _responses(bus: Bus, run_id: int) -> list[RunResponse]:
    page = await bus.ask(LIST_RUN_RESPONSES, ListRunResponses(run_id=run_id))
    found = page.responses
    while page.more:
        page = await bus.ask(LIST_RUN_RESPONSES, ListRunResponses(run_id=run_id, after=found[-1].id))
        found += page.responses
    return found
