"""What the router has measured, for those who watch the platform."""

from contracts.metrics import GET_ROUTER_METRICS, GetRouterMetrics, RouterMetrics
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import metrics as store


@HANDLERS.on(GET_ROUTER_METRICS)
async def get_router_metrics(deps: Deps, request: GetRouterMetrics) -> RouterMetrics:
    async with deps.database.connection() as connection:
        return await store.measure(connection, window=request.window)
