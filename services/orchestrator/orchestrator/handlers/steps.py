"""Steps for workers: claimed, beaten for, finished by fence (DESIGN.md, section 4)."""

from common import outbox
from common.database import Connection
from contracts import orchestrator
from contracts.orchestrator import (
    BeatReply,
    BeatSteps,
    ClaimReply,
    ClaimStep,
    FinishReply,
    FinishStep,
    FreeSteps,
    ReuseReply,
    ReuseResult,
    StepsToFree,
    StepSucceeded,
    StepVerdict,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import jobs, outcomes
from orchestrator.domain.deletion import results_at
from orchestrator.engine import announcements, metrics
from orchestrator.engine.recording import record, settled
from orchestrator.store import freeing, job_steering, reuse, runs, steps
from orchestrator.store import jobs as job_rows


@HANDLERS.on(orchestrator.CLAIM_STEP)
async def claim_step(deps: Deps, request: ClaimStep) -> ClaimReply:
    lease = deps.policy.lease
    async with deps.database.transaction() as connection:
        claim = await steps.claim(
            connection, worker_id=request.worker_id, kinds=request.agent_classes, lease=lease, step_id=request.step_id
        )
        if claim is None:
            return ClaimReply(step=None)
        await outbox.add_many(connection, announcements.of_claim(claim))
        adjustments = await job_steering.adjustments_of(connection, claim)
    deps.relay.kick()
    metrics.count_claim(claim)
    return ClaimReply(step=jobs.claimed(claim, lease, adjustments))


@HANDLERS.on(orchestrator.BEAT_STEPS)
async def beat_steps(deps: Deps, request: BeatSteps) -> BeatReply:
    fences = {held.step_id: held.fence for held in request.steps}
    async with deps.database.connection() as connection:
        verdicts = await steps.beat(connection, fences, lease=deps.policy.lease)
        held = [step_id for step_id, verdict in verdicts.items() if verdict == "held"]
        paused = await job_steering.paused(connection, held)
        adjustments = await job_steering.adjustments_since(
            connection, {step.step_id: step.adjusted for step in request.steps if step.step_id in held}
        )
    return BeatReply(
        verdicts=[
            StepVerdict(
                step_id=step_id,
                verdict="pause" if step_id in paused else verdicts[step_id],
                adjustments=adjustments.get(step_id, []),
            )
            for step_id in fences
        ]
    )


@HANDLERS.on(orchestrator.FINISH_STEP)
async def finish_step(deps: Deps, request: FinishStep) -> FinishReply:
    """Records what a worker reports, unless the step has gone to another. A repeated report is recorded once."""
    async with deps.database.transaction() as connection:
        run = await runs.lock_of_step(connection, request.step_id)
        step = None if run is None else run.held(request.step_id, request.fence)
        if run is None or step is None:
            return await _finished_before(connection, request)
        if isinstance(request.result, StepSucceeded) and request.result.cached:
            await job_rows.mark_cached(connection, step.id)
        transition = outcomes.finish(run, step, request.result, deps.policy, deps.chance())
        await record(connection, transition, deps.policy)
    settled(deps, transition)
    return FinishReply(recorded=True)


@HANDLERS.on(orchestrator.REUSE_RESULT)
async def reuse_result(deps: Deps, request: ReuseResult) -> ReuseReply:
    """Keeps an earlier result for the job of a held step, unless the job that made it has been deleted."""
    wanted = results_at(request.paths)
    origins = {result.origin for result in wanted}
    async with deps.database.transaction() as connection:
        granted = await reuse.share(connection, origins) == origins
        if granted:
            await reuse.keep_for_step(connection, request.step_id, request.fence, wanted)
    return ReuseReply(granted=granted)


@HANDLERS.on(orchestrator.FREE_STEPS)
async def free_steps(deps: Deps, request: FreeSteps) -> StepsToFree:
    """Several workers may free the same steps: there is no harm in that."""
    policy = deps.policy
    async with deps.database.transaction() as connection:
        await freeing.freed(connection, request.freed)
        left = await freeing.to_free(connection, retention=policy.keep_failed, grace=policy.cancel_grace)
    return StepsToFree(steps=left)


async def _finished_before(connection: Connection, request: FinishStep) -> FinishReply:
    status = outcomes.status_after(request.result)
    recorded = status is not None and await steps.ended_as(connection, request.step_id, request.fence, status)
    if not recorded:
        metrics.RESULTS_DROPPED.inc()
    return FinishReply(recorded=recorded)
