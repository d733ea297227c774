"""What a worker's report, or its silence, does to the step it held."""

from contracts.base import RefusalCode
from contracts.orchestrator import StepCancelled, StepFailed, StepReleased, StepStatus, StepSucceeded
from orchestrator.domain.failures import LEASE_ENDED, STOPPED_UNASKED, Failure, deadline_passed, failure
from orchestrator.domain.machine import Run, Step, Transition, fail, interrupt, release, succeed
from orchestrator.domain.policy import Policy
from orchestrator.domain.storable import mended

Result = StepSucceeded | StepFailed | StepCancelled | StepReleased


def finish(run: Run, step: Step, result: Result, policy: Policy, chance: float) -> Transition:
    """The held step's worker reports `result`. `chance` is between 0 and 1."""
    match result:
        case StepSucceeded():
            return succeed(run, step, mended(result.output.model_dump(mode="json")))
        case StepFailed():
            reported = failure(result.code, mended(result.message), mended(result.metadata))
            if result.away:
                # The pause grows with the claims, which are not bounded: nobody else knows when it is back.
                return release(run, step, policy.pause_after(step.fence, chance), reported)
            pause = policy.pause_after(step.attempt, chance)
            return fail(run, step, reported, retryable=result.retryable, delay=pause)
        case StepCancelled():
            pause = policy.pause_after(step.attempt, chance)
            return fail(run, step, STOPPED_UNASKED, retryable=True, delay=pause)
        case StepReleased():
            return release(run, step)


def expire(run: Run, step: Step, policy: Policy, chance: float) -> Transition:
    """Nobody has beaten for the held step in time: its worker is dead or cut off."""
    return interrupt(run, step, LEASE_ENDED, most=policy.interruptions, delay=policy.pause_after_silence(chance))


def break_off(run: Run, step: Step, message: str, policy: Policy, chance: float) -> Transition:
    """Whoever in this platform was asked for the held step was lost half-way."""
    pause = policy.pause_after(step.interruptions + 1, chance)
    return interrupt(run, step, _unavailable(message), most=policy.interruptions, delay=pause)


def postpone(run: Run, step: Step, message: str, policy: Policy, chance: float) -> Transition:
    """What the held step needs is taken or away: it is ready again soon, and this attempt has not been one."""
    return release(run, step, policy.pause_after_silence(chance), _unavailable(message))


def _unavailable(message: str) -> Failure:
    return failure(RefusalCode.UNAVAILABLE, mended(message), {})


def overrun(run: Run, step: Step, timeout_seconds: float) -> Transition:
    """An attempt took too long, as the next would."""
    return fail(run, step, deadline_passed(timeout_seconds), retryable=False, delay=0)


def status_after(result: Result) -> StepStatus | None:
    """The state in which a step rests once this report is recorded, so that a repeated one is recognised."""
    match result:
        case StepSucceeded():
            return "completed"
        case StepFailed():
            return "failed"
        case StepCancelled():
            return "cancelled"
        case StepReleased():
            return None
