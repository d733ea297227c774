"""Runs of jobs that are deleted: what models need of them stays."""

from contracts.base import Empty, RefusalCode, Refused
from contracts.registry import CLOSE_RUN, FREE_RUN, CloseRun, FreeRun, RunFreed
from registry.domain.lineage import place_of
from registry.handlers.deps import HANDLERS, Deps
from registry.store import closed_runs, serving


@HANDLERS.on(CLOSE_RUN)
async def close_run(deps: Deps, request: CloseRun) -> Empty:
    run_id = request.run_id
    async with deps.database.transaction() as connection:
        await serving.wait_turn(connection)
        await closed_runs.close(connection, run_id)
        trained = await closed_runs.models_without_curve(connection, run_id, place_of(run_id))
    for model_id in trained:
        try:
            await deps.curves.keep_of_run(model_id, run_id)
        except Refused as refused:
            # The run has been deleted meanwhile.
            if refused.code is not RefusalCode.NOT_FOUND:
                raise
    return Empty()


@HANDLERS.on(FREE_RUN)
async def free_run(deps: Deps, request: FreeRun) -> RunFreed:
    freed = await deps.freeing.free_run(request.run_id, request.kept)
    return RunFreed(freed_bytes=freed.size, more=freed.waits)
