"""Document D's metrics: what the router has measured, how its engines are, and how the orchestrator's tasks stand."""

import asyncio
from typing import cast

from aiohttp import web

from contracts import engines, metrics, tasks
from contracts.engines import EnginePage, ListEngines
from contracts.metrics import GetRouterMetrics, RouterMetrics
from contracts.tasks import CountTasks, TaskCounts
from gateway.deps import Deps
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.routes.table import Route
from gateway.routes.tasks import GetServerMetrics, ServerMetrics


async def server_metrics(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    window = cast(GetServerMetrics, await read_request(request, route)).window
    measured, known, counts = await asyncio.gather(
        deps.bus.ask(metrics.GET_ROUTER_METRICS, GetRouterMetrics(window=window)),
        deps.bus.ask(engines.LIST_ENGINES, ListEngines(limit=1000)),
        deps.bus.ask(tasks.COUNT_TASKS, CountTasks(window=window)),
    )
    return respond(route, _told(measured, known, counts))


def _told(measured: RouterMetrics, known: EnginePage, counts: TaskCounts) -> ServerMetrics:
    ended = counts.completed + counts.failed
    return ServerMetrics(
        server_status="online" if any(engine.status == "available" for engine in known.items) else "offline",
        llm_status={engine.name: engine.status for engine in known.items},
        tokens_per_second=measured.tokens_per_second,
        average_response_time=measured.average_response_time,
        total_requests=measured.total_requests,
        active_tasks=counts.active,
        queue_length=counts.waiting,
        success_rate=100 * counts.completed / ended if ended else None,
        api_costs=measured.cost,
    )
