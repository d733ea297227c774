"""Jobs that have ended, deleted by their owners and administrators."""

import asyncio
from contextlib import suppress

from contracts import orchestrator
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import ForgetResults, GetJob, JobDeleted, ResultsToForget
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import deletion
from orchestrator.domain import jobs as job
from orchestrator.domain.deletion import Deleted, Left
from orchestrator.engine import job_removal
from orchestrator.handlers.job_steering import check_owner, locked
from orchestrator.store import deleted_jobs

_PATIENCE = 10.0
"""For so many seconds a caller waits for what is left to be removed: the rest goes without them."""
_FORGOTTEN_AT_ONCE = 100


@HANDLERS.on(orchestrator.DELETE_JOB)
async def delete_job(deps: Deps, request: GetJob) -> JobDeleted:
    """Removes a job that has ended, with all that only it needs. Repeated, it tells how far that has come."""
    run_id = job.run_id_of(request.job_id)
    if await _gone(deps, run_id) is None:
        try:
            left = await _delete(deps, request.job_id)
        except Refused as refused:
            # Somebody else may have done so meanwhile.
            if refused.code is not RefusalCode.NOT_FOUND or await _gone(deps, run_id) is None:
                raise
        else:
            await _remove(deps, left)
    gone = await _gone(deps, run_id)
    assert gone is not None  # noqa: S101 - a job that was deleted is known for ever
    check_owner(gone.owner)
    return deletion.told(gone)


async def _remove(deps: Deps, left: Left) -> None:
    """What cannot be removed now, since a part of the platform is away, will be."""
    with suppress(Refused, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await job_removal.remove(deps, left)


async def _gone(deps: Deps, run_id: str) -> Deleted | None:
    async with deps.database.connection() as connection:
        return await deleted_jobs.find(connection, run_id)


async def _delete(deps: Deps, job_id: str) -> Left:
    """Raises `Refused`: NOT_FOUND, FORBIDDEN, CONFLICT."""
    async with deps.database.transaction() as connection:
        run = await locked(connection, job_id)
    return await job_removal.delete(deps, run.run_id)


@HANDLERS.on(orchestrator.FORGET_RESULTS)
async def forget_results(deps: Deps, request: ForgetResults) -> ResultsToForget:
    """Several workers may forget the same: there is no harm in that."""
    async with deps.database.transaction() as connection:
        await deleted_jobs.forgotten(connection, request.forgotten)
        return ResultsToForget(run_ids=await deleted_jobs.to_forget(connection, _FORGOTTEN_AT_ONCE))
