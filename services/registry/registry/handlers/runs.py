"""Runs of jobs that are deleted: what models need of them stays."""

from contracts.base import Empty, RefusalCode, Refused
from contracts.registry import CLOSE_RUN, FREE_RUN, CloseRun, FreeRun, RunFreed
from registry.domain.lineage import place_of, training_of
from registry.engine.run_logs import read_losses
from registry.handlers.deps import HANDLERS, Deps
from registry.handlers.descriptions import origin, remember
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
            await _keep_losses(deps, model_id, run_id)
        except Refused as refused:
            # The model or the run has been deleted meanwhile.
            if refused.code is not RefusalCode.NOT_FOUND:
                raise
    return Empty()


async def _keep_losses(deps: Deps, model_id: str, run_id: str) -> None:
    model, told, _ = await origin(deps, model_id)
    training = training_of(model, told)
    if training.run_id == run_id:
        await remember(deps, model, await read_losses(deps.bus, training))


@HANDLERS.on(FREE_RUN)
async def free_run(deps: Deps, request: FreeRun) -> RunFreed:
    freed = await deps.freeing.free_run(request.run_id, request.kept)
    return RunFreed(freed_bytes=freed.size, more=freed.waits)
