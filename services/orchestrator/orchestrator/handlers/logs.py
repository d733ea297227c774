"""The logs of runs, for readers."""

from contracts import orchestrator
from contracts.orchestrator import GetLogs, GetMetrics, LogPage, RunMetrics
from contracts.pipeline import unknown_run
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain.logs import fitting, series
from orchestrator.store import logs, runs


@HANDLERS.on(orchestrator.GET_LOGS)
async def get_logs(deps: Deps, request: GetLogs) -> LogPage:
    async with deps.database.connection() as connection:
        if not await runs.exists(connection, request.run_id):
            raise unknown_run(request.run_id)
        # A line that comes in between would be in one of them and not in the other.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            total = await logs.count(connection, request)
            found = await logs.page(connection, request, total)
    entries = list(fitting(found[: request.limit]))
    return LogPage(run_id=request.run_id, entries=entries, total=total, has_more=len(entries) < len(found))


@HANDLERS.on(orchestrator.GET_METRICS)
async def get_metrics(deps: Deps, request: GetMetrics) -> RunMetrics:
    async with deps.database.connection() as connection:
        if not await runs.exists(connection, request.run_id):
            raise unknown_run(request.run_id)
        records = await logs.metrics(connection, request)
    return RunMetrics(run_id=request.run_id, series=series(records))
