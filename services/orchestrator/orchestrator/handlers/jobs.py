"""Jobs for their callers: submitted, shown, listed, gone on from (document E)."""

import asyncio
import secrets

from common import outbox
from common.bus import Bus
from common.context import current
from common.database import Connection
from common.tracing import inject
from contracts import orchestrator, registry
from contracts.base import Empty, RefusalCode, Refused
from contracts.orchestrator import (
    FindJobsComparing,
    FindJobsOfDataset,
    FindPathsInUse,
    GetJob,
    Job,
    JobAccepted,
    JobOfDataset,
    JobOutputs,
    JobPage,
    JobsComparing,
    JobsOfDataset,
    JobTemplates,
    ListJobs,
    PathsInUse,
    RetryJob,
    SubmitJob,
)
from contracts.pipeline import PipelineConfig
from contracts.registry import GetDataset, GetModel
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import deletion, job_templates, retries
from orchestrator.domain import jobs as job
from orchestrator.domain.deletion import TakenOver
from orchestrator.domain.jobs import JobRecord
from orchestrator.domain.pipelines import Plan, plan
from orchestrator.domain.records import Submission
from orchestrator.engine import announcements
from orchestrator.store import deleted_jobs, jobs, logs, reuse, runs

_TRIES = 20
_MINE = "me"


@HANDLERS.on(orchestrator.SUBMIT_JOB)
async def submit_job(deps: Deps, request: SubmitJob) -> JobAccepted:
    """Enters a job once, however often it is submitted under the same run id or idempotency key."""
    definition = job_templates.definition_of(request)
    planned = plan(definition)
    submission = _submission(definition, definition.run_id or secrets.token_hex(8))
    async with deps.database.connection() as connection:
        known = await jobs.find(connection, submission)
    if known is None:
        await _check_named(deps.bus, planned)
        known, _ = await _enter(deps, submission, planned)
    job.check_same(known, submission)
    return job.accepted(known)


@HANDLERS.on(orchestrator.RETRY_JOB)
async def retry_job(deps: Deps, request: RetryJob) -> JobAccepted:
    """Enters a job that goes on from one that has ended; under a repeated idempotency key the same."""
    earlier = await _known(deps, request.job_id)
    if earlier.status == "active":
        raise Refused(RefusalCode.CONFLICT, "The job still goes on: cancel it, or wait for its end")
    written = PipelineConfig.model_validate(earlier.definition)
    definition = retries.definition(written, request)
    kept = retries.kept(written, job.readable_outputs(earlier), request)
    planned = plan(definition, kept)
    await _check_named(deps.bus, planned)
    for _ in range(_TRIES):
        run_id = request.run_id or await _next_run_id(deps, earlier)
        submission = _submission(definition, run_id, resumes=earlier.run_id)
        known, is_new = await _enter(deps, submission, planned, deletion.taken_over(earlier.run_id, kept))
        # Else somebody has taken the number at the same time, unless it is the key that is known.
        if is_new or request.run_id is not None or known.run_id != run_id:
            job.check_same(known, submission)
            return job.accepted(known)
    raise Refused(RefusalCode.CONFLICT, "Too many retries of this job are made at once: try again, or give a run_id")


async def _next_run_id(deps: Deps, earlier: JobRecord) -> str:
    root = retries.root_of(earlier.run_id)
    async with deps.database.connection() as connection:
        return retries.next_run_id(root, await jobs.run_ids_like(connection, root))


def _submission(config: PipelineConfig, run_id: str, resumes: str | None = None) -> Submission:
    call = current()
    return Submission(
        kind=job.KIND,
        run_id=run_id,
        owner=call.owner,
        idempotency_key=call.idempotency_key,
        definition=config.model_dump(mode="json"),
        options=job.options_of(config, resumes),
        traceparent=inject({}).get("traceparent"),
    )


async def _check_named(bus: Bus, planned: Plan) -> None:
    """Raises the registry's refusal for a data set or a model that is not there."""
    await asyncio.gather(
        *(bus.ask(registry.GET_DATASET, GetDataset(dataset_id=name)) for name in planned.dataset_ids),
        *(bus.ask(registry.GET_MODEL, GetModel(model_id=name)) for name in planned.models),
    )


async def _enter(
    deps: Deps, submission: Submission, planned: Plan, takes: TakenOver | None = None
) -> tuple[JobRecord, bool]:
    """The run of `submission`, or of its key, and whether it has been entered now. Raises `Refused`: NOT_FOUND when the
    run that it takes something over from is gone, CONFLICT when its own id was that of a job that is."""
    async with deps.turnstile.through(submission.owner), deps.database.transaction() as connection:
        if takes is not None and not await reuse.share(connection, [takes.origin]):
            raise job.no_such_job(job.job_id_of(takes.origin))
        run = await runs.insert(connection, submission, planned, hint_pause=deps.policy.hint_pause)
        if run is not None:
            # Looked for now that the id is taken: until then it could be deleted.
            if await deleted_jobs.find(connection, run.run_id) is not None:
                raise deletion.was_deleted(run.run_id)
            if takes is not None:
                await reuse.keep(connection, run.id, takes.results)
            await outbox.add_many(connection, announcements.of_submission(run))
        known = await jobs.find(connection, submission)
        assert known is not None  # noqa: S101 - it is there, or it would have been entered
    deps.relay.kick()
    return known, run is not None


@HANDLERS.on(orchestrator.LIST_JOB_TEMPLATES)
async def list_job_templates(_deps: Deps, _request: Empty) -> JobTemplates:
    return JobTemplates(templates=job_templates.listed())


@HANDLERS.on(orchestrator.GET_JOB)
async def get_job(deps: Deps, request: GetJob) -> Job:
    async with deps.database.connection() as connection:
        found = await known(connection, request.job_id)
        trainings = await logs.how_far(connection, job.begun_trainings([found]))
    return job.job(found, trainings=trainings)


@HANDLERS.on(orchestrator.GET_JOB_OUTPUTS)
async def get_job_outputs(deps: Deps, request: GetJob) -> JobOutputs:
    return JobOutputs(outputs=job.outputs((await _known(deps, request.job_id)).steps))


@HANDLERS.on(orchestrator.LIST_JOBS)
async def list_jobs(deps: Deps, request: ListJobs) -> JobPage:
    """Jobs without their results, which would make a page as large as all of them together."""
    async with deps.database.connection() as connection:
        found, total = await jobs.page(
            connection,
            status=request.status,
            owner=current().owner if request.owner == _MINE else request.owner,
            after=request.created_after,
            before=request.created_before,
            limit=request.limit,
            offset=request.offset,
        )
        trainings = await logs.how_far(connection, job.begun_trainings(found))
    return JobPage.of([job.job(one, with_result=False, trainings=trainings) for one in found], total, request)


@HANDLERS.on(orchestrator.FIND_JOBS_OF_DATASET)
async def find_jobs_of_dataset(deps: Deps, request: FindJobsOfDataset) -> JobsOfDataset:
    async with deps.database.connection() as connection:
        found = await jobs.of_dataset(connection, request.dataset_id)
    return JobsOfDataset(
        jobs=[JobOfDataset(job_id=job.job_id_of(run_id), run_id=run_id, goes_on=goes_on) for run_id, goes_on in found]
    )


@HANDLERS.on(orchestrator.FIND_PATHS_IN_USE)
async def find_paths_in_use(deps: Deps, request: FindPathsInUse) -> PathsInUse:
    async with deps.database.connection() as connection:
        return PathsInUse(paths=await jobs.paths_in_use(connection, request.paths))


@HANDLERS.on(orchestrator.FIND_JOBS_COMPARING)
async def find_jobs_comparing(deps: Deps, request: FindJobsComparing) -> JobsComparing:
    async with deps.database.connection() as connection:
        found = await jobs.comparing(connection, request.models)
    return JobsComparing(job_ids=[job.job_id_of(run_id) for run_id in found])


async def _known(deps: Deps, job_id: str) -> JobRecord:
    async with deps.database.connection() as connection:
        return await known(connection, job_id)


async def known(connection: Connection, job_id: str) -> JobRecord:
    """Raises `Refused(NOT_FOUND)`."""
    found = await jobs.get(connection, job.run_id_of(job_id))
    if found is None:
        raise job.no_such_job(job_id)
    return found
