"""The logs of runs, for readers."""

from contracts import orchestrator
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GetLogs, LogPage
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain.logs import fitting
from orchestrator.store import logs, runs


@HANDLERS.on(orchestrator.GET_LOGS)
async def get_logs(deps: Deps, request: GetLogs) -> LogPage:
    async with deps.database.connection() as connection:
        if not await runs.exists(connection, request.run_id):
            raise Refused(RefusalCode.NOT_FOUND, "There is no such run", {"run_id": request.run_id})
        total = await logs.count(connection, request.run_id)
        entries = await logs.page(connection, request.run_id, after=request.after, limit=request.limit)
    return LogPage(run_id=request.run_id, entries=list(fitting(entries)), total=total)
