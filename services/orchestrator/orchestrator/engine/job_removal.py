"""Removes what deleted jobs have left: their logs, and of their objects what nothing else needs.

A job is gone for its callers with one transaction, which notes what is left. That is removed at once, and gone over
again by whichever replica finds it due: after a failure, when jobs that needed some of it are deleted or have read it,
and once late, for what a worker that was cut off may still have written. To remove something twice does no harm.
"""

import asyncio

from common.telemetry import get_logger
from contracts.base import Refused
from contracts.registry import FREE_RUN, FreeRun
from orchestrator.deps import Deps
from orchestrator.domain.deletion import Left, kept_paths
from orchestrator.store import deleted_jobs, logs, reuse

_log = get_logger("job_removal")
_LOOK_SECONDS = 5.0
_JOBS_AT_ONCE, _LINES_AT_ONCE = 20, 5000


async def keep(deps: Deps) -> None:
    """Removes what is left of deleted jobs until cancelled. What is away is waited for."""
    while True:
        try:
            async with deps.database.connection() as connection:
                due = await deleted_jobs.take(connection, _JOBS_AT_ONCE)
        except Refused as refused:
            _log.warning("removal_waits", error=refused.message)
            due = []
        for left in due:
            try:
                await remove(deps, left)
            except Refused as refused:
                _log.warning("removal_waits", run_id=left.run_id, error=refused.message)
        await asyncio.sleep(_LOOK_SECONDS)


async def remove(deps: Deps, left: Left) -> None:
    """Removes all that is left of a job and can go now. Raises `Refused` where a part of the platform is away: what is
    left is due again in a while."""
    async with deps.database.connection() as connection:
        while await logs.delete_of(connection, left.run_id, limit=_LINES_AT_ONCE) == _LINES_AT_ONCE:
            pass
        # What others that are deleted, too, have left for this one may go with it.
        await deleted_jobs.wake_origins(connection, left.run_id)
        # Asked after the job was gone: nobody can take over more of it.
        taken_over = await reuse.taken_over(connection, left.run_id)
        read = await reuse.about_to_read(connection, left.run_id)
    await _free(deps, FreeRun(run_id=left.run_id, kept=kept_paths(taken_over, read)))
    async with deps.database.connection() as connection:
        await deleted_jobs.looked(connection, left, pending=bool(read))
    _log.info("job_removed", run_id=left.run_id, results_kept=len(taken_over), read=len(read))


async def _free(deps: Deps, request: FreeRun) -> None:
    more = True
    while more:
        reply = await deps.bus.ask(FREE_RUN, request)
        more = reply.more
        async with deps.database.connection() as connection:
            await deleted_jobs.freed(connection, request.run_id, reply.freed_bytes)
