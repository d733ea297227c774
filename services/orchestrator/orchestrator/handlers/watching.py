"""Runs of workflows for those who want to watch them."""

from common.context import current
from contracts.run_events import WATCH_RUN, WatchedRun
from contracts.workflow_runs import GetWorkflowRun
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain.workflows.runs import no_such_run
from orchestrator.store import workflow_runs


@HANDLERS.on(WATCH_RUN)
async def watch_run(deps: Deps, request: GetWorkflowRun) -> WatchedRun:
    async with deps.database.connection() as connection:
        found = await workflow_runs.watched(connection, request.run_id)
    if found is None or not current().controls(found.owner):
        raise no_such_run(request.run_id)
    return WatchedRun(run_id=request.run_id, status=found.status, seconds_since_end=found.seconds_since_end)
