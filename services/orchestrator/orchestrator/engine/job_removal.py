"""Deletes jobs, and removes what they have left: their logs, and of their objects what nothing else needs.

A job is gone for its callers with one transaction, which notes what is left. That is removed at once, and gone over
again by whichever replica finds it due: after a failure, when jobs that needed some of it are deleted or have read it,
and once late, for what a worker that was cut off may still have written. To remove something twice does no harm.
"""

import asyncio
from datetime import datetime

from common.database import Connection
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.registry import CLOSE_RUN, FREE_RUN, CloseRun, FreeRun
from orchestrator.deps import Deps
from orchestrator.domain import jobs
from orchestrator.domain.deletion import Left, check_deletable, kept_paths
from orchestrator.domain.machine import Run
from orchestrator.store import deleted_jobs, logs, reuse, runs

_log = get_logger("job_removal")
_LOOK_SECONDS = 5.0
_JOBS_AT_ONCE, _LINES_AT_ONCE = 20, 5000


async def keep(deps: Deps, *, retention: float | None = None) -> None:
    """Removes what is left of deleted jobs, and deletes those that ended `retention` seconds ago, until cancelled. What
    is away is waited for."""
    after: datetime | None = None
    while True:
        due: list[Left] = []
        try:
            if retention is not None:
                after = await delete_old(deps, retention, after)
            async with deps.database.connection() as connection:
                due = await deleted_jobs.take(connection, _JOBS_AT_ONCE)
        except Refused as refused:
            _log.warning("removal_waits", error=refused.message)
        for left in due:
            try:
                await remove(deps, left)
            except Refused as refused:
                _log.warning("removal_waits", run_id=left.run_id, error=refused.message)
        await asyncio.sleep(_LOOK_SECONDS)


async def delete_old(deps: Deps, retention: float, after: datetime | None = None) -> datetime | None:
    """Deletes some jobs that ended `retention` seconds ago, and `after` that moment; after which moment to look next.

    Any number of replicas may: each job is deleted once. One that cannot be is passed over until the next round. What
    is left of them is due in a while, as if their deletion had been cut off.
    """
    async with deps.database.connection() as connection:
        found = await deleted_jobs.old(connection, seconds=retention, after=after, limit=_JOBS_AT_ONCE)
    for run_id, ended_at in found:
        try:
            await delete(deps, run_id)
        except Refused as refused:
            # Another replica was faster, or somebody goes on from it by now.
            if refused.code in {RefusalCode.NOT_FOUND, RefusalCode.CONFLICT}:
                continue
            _log.warning("old_job_stays", run_id=run_id, error=refused.message)
            return ended_at
        _log.info("old_job_deleted", run_id=run_id)
    return found[-1][1] if len(found) == _JOBS_AT_ONCE else None


async def delete(deps: Deps, run_id: str) -> Left:
    """Deletes a job; what is left of it is to be removed. Raises `Refused`: NOT_FOUND, CONFLICT for one that goes on or
    that another goes on from."""
    async with deps.database.transaction() as connection:
        await _deletable(connection, run_id)
    # What of its models only its log tells is kept first; and a worker that was cut off registers no more of them.
    await deps.bus.ask(CLOSE_RUN, CloseRun(run_id=run_id))
    async with deps.database.transaction() as connection:
        await reuse.exclude(connection, run_id)
        run = await _deletable(connection, run_id)
        return await deleted_jobs.delete(connection, run, quiet_after=deps.policy.cancel_grace if run.steps else 0)


async def _deletable(connection: Connection, run_id: str) -> Run:
    run = await runs.lock(connection, jobs.KIND, run_id)
    if run is None:
        raise jobs.no_such_job(jobs.job_id_of(run_id))
    check_deletable(run, await reuse.retries(connection, run_id))
    return run


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
