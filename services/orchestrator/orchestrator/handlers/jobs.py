"""Jobs for their callers: submitted, shown, listed, cancelled (document E)."""

import asyncio
import secrets
from collections.abc import Iterable

from common import outbox
from common.bus import Bus
from common.context import current
from common.tracing import inject
from contracts import orchestrator, registry
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GetJob, Job, JobAccepted, JobCancelled, JobPage, ListJobs, SubmitJob
from contracts.pipeline import PipelineConfig
from contracts.registry import GetDataset
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import jobs, machine
from orchestrator.domain.pipelines import Plan, plan
from orchestrator.domain.records import RunRecord, Submission
from orchestrator.engine import announcements
from orchestrator.engine.recording import record, settled
from orchestrator.store import runs


@HANDLERS.on(orchestrator.SUBMIT_JOB)
async def submit_job(deps: Deps, request: SubmitJob) -> JobAccepted:
    """Enters a job once, however often it is submitted under the same run id or idempotency key."""
    planned = plan(request.pipeline_config)
    submission = _submission(request.pipeline_config)
    async with deps.database.connection() as connection:
        known = await runs.find(connection, submission)
    if known is None:
        await _check_datasets(deps.bus, planned.dataset_ids)
        known = await _enter(deps, submission, planned)
    jobs.check_same(known, submission)
    return jobs.accepted(known)


def _submission(config: PipelineConfig) -> Submission:
    call = current()
    return Submission(
        kind=jobs.KIND,
        run_id=config.run_id or secrets.token_hex(8),
        owner=call.owner,
        idempotency_key=call.idempotency_key,
        definition=config.model_dump(mode="json"),
        options=config.global_config.model_dump(mode="json"),
        traceparent=inject({}).get("traceparent"),
    )


async def _check_datasets(bus: Bus, dataset_ids: Iterable[str]) -> None:
    """Raises the registry's refusal for a data set that is not there."""
    await asyncio.gather(*(bus.ask(registry.GET_DATASET, GetDataset(dataset_id=name)) for name in dataset_ids))


async def _enter(deps: Deps, submission: Submission, planned: Plan) -> RunRecord:
    """The run of `submission`, entered now, or by whoever was faster."""
    async with deps.database.transaction() as connection:
        run = await runs.insert(connection, submission, planned, hint_pause=deps.policy.hint_pause)
        if run is not None:
            await outbox.add_many(connection, announcements.of_submission(run))
        known = await runs.find(connection, submission)
        assert known is not None  # noqa: S101 - it is there, or it would have been entered
    deps.relay.kick()
    return known


@HANDLERS.on(orchestrator.GET_JOB)
async def get_job(deps: Deps, request: GetJob) -> Job:
    async with deps.database.connection() as connection:
        known = await runs.get(connection, jobs.KIND, jobs.run_id_of(request.job_id))
    if known is None:
        raise jobs.no_such_job(request.job_id)
    return jobs.job(known)


@HANDLERS.on(orchestrator.LIST_JOBS)
async def list_jobs(deps: Deps, request: ListJobs) -> JobPage:
    """Jobs without their results, which would make a page as large as all of them together."""
    async with deps.database.connection() as connection:
        known, total = await runs.page(
            connection, jobs.KIND, status=request.status, limit=request.limit, offset=request.offset
        )
    return JobPage.of([jobs.job(one, with_result=False) for one in known], total, request)


@HANDLERS.on(orchestrator.CANCEL_JOB)
async def cancel_job(deps: Deps, request: GetJob) -> JobCancelled:
    """Ends an active job as cancelled. Its running agents hear of it with their next beat."""
    async with deps.database.transaction() as connection:
        run = await runs.lock(connection, jobs.KIND, jobs.run_id_of(request.job_id))
        if run is None:
            raise jobs.no_such_job(request.job_id)
        if run.status == "cancelled":
            return JobCancelled(job_id=request.job_id, status="cancelled")
        if run.status != "active":
            raise Refused(RefusalCode.CONFLICT, f"The job has {run.status} already", {"status": run.status})
        transition = machine.cancel(run)
        await record(connection, transition, deps.policy)
    settled(deps, transition)
    return JobCancelled(job_id=request.job_id, status="cancelled")
