"""Jobs that go on, steered by their owners and administrators: paused, resumed, adjusted, cancelled.

What is done is written before it is answered, for the workers that hold the job's steps to learn with their next beat;
a message has them beat at once.
"""

from collections.abc import Callable

from common import outbox
from common.context import current
from common.database import Connection
from contracts import orchestrator
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    AdjustJob,
    AdjustmentAccepted,
    GetJob,
    Job,
    JobAction,
    JobCancelled,
    Steering,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import jobs as job
from orchestrator.domain import machine
from orchestrator.domain.machine import Run, Transition
from orchestrator.domain.steering import check_active, check_adjustable
from orchestrator.engine import announcements
from orchestrator.engine.recording import record, settled
from orchestrator.handlers.jobs import known
from orchestrator.store import job_steering, logs, runs


@HANDLERS.on(orchestrator.CANCEL_JOB)
async def cancel_job(deps: Deps, request: GetJob) -> JobCancelled:
    """Ends an active job as cancelled, and stops what works on it. To cancel it again changes nothing."""
    async with deps.database.transaction() as connection:
        run = await locked(connection, request.job_id)
        if run.status == "cancelled":
            return JobCancelled(job_id=request.job_id, status="cancelled")
        check_active(run, "cancel")
        transition = machine.cancel(run)
        await _tell(connection, run, "cancel")
        await record(connection, transition, deps.policy)
    settled(deps, transition)
    return JobCancelled(job_id=request.job_id, status="cancelled")


@HANDLERS.on(orchestrator.PAUSE_JOB)
async def pause_job(deps: Deps, request: GetJob) -> Job:
    """Nothing more of the job is begun. What runs comes to where it can go on, and gives its worker free."""
    return await _steer(deps, request.job_id, "pause", lambda run: None if run.paused else machine.pause(run))


@HANDLERS.on(orchestrator.RESUME_JOB)
async def resume_job(deps: Deps, request: GetJob) -> Job:
    return await _steer(deps, request.job_id, "resume", lambda run: machine.resume(run) if run.paused else None)


@HANDLERS.on(orchestrator.ADJUST_JOB)
async def adjust_job(deps: Deps, request: AdjustJob) -> AdjustmentAccepted:
    async with deps.database.transaction() as connection:
        run = await locked(connection, request.job_id)
        check_active(run, "adjust")
        check_adjustable(run, request.agent_name)
        number = await _tell(
            connection, run, "adjust", agent_name=request.agent_name, learning_rate=request.learning_rate
        )
    deps.relay.kick()
    return AdjustmentAccepted(job_id=request.job_id, number=number)


async def _steer(deps: Deps, job_id: str, action: JobAction, decide: Callable[[Run], Transition | None]) -> Job:
    """The job after what `decide` does to it, which may be nothing."""
    async with deps.database.transaction() as connection:
        run = await locked(connection, job_id)
        check_active(run, action)
        transition = decide(run)
        if transition is not None:
            await _tell(connection, run, action)
            await record(connection, transition, deps.policy)
        changed = await known(connection, job_id)
    if transition is not None:
        settled(deps, transition)
    # What is done stays done, whatever there is in the log.
    async with deps.database.connection() as connection:
        trainings = await logs.how_far(connection, job.begun_trainings([changed]))
    return job.job(changed, with_result=False, trainings=trainings)


async def locked(connection: Connection, job_id: str) -> Run:
    """The job, for its caller to change. Raises `Refused`: NOT_FOUND, FORBIDDEN."""
    run = await runs.lock(connection, job.KIND, job.run_id_of(job_id))
    if run is None:
        raise job.no_such_job(job_id)
    check_owner(run.owner)
    return run


def check_owner(owner: str) -> None:
    """Raises `Refused(FORBIDDEN)` unless the caller is the owner of a job, or an administrator."""
    principal = current().principal
    is_let = principal is None or principal.role == "admin" or (principal.role == "member" and principal.id == owner)
    if not is_let:
        raise Refused(RefusalCode.FORBIDDEN, "Only who submitted the job and administrators may do this")


async def _tell(
    connection: Connection,
    run: Run,
    action: JobAction,
    *,
    agent_name: str | None = None,
    learning_rate: float | None = None,
) -> int:
    """Keeps what the caller does, and tells it to the job's workers and to those who watch; its number."""
    principal = current().principal
    actor = "The platform" if principal is None else principal.name
    number = await job_steering.insert(
        connection, run.id, action, actor, agent_name=agent_name, learning_rate=learning_rate
    )
    steering = Steering(number=number, action=action, by=actor, learning_rate=learning_rate, agent_name=agent_name)
    await outbox.add_many(connection, announcements.of_steering(run, steering))
    return number
