"""What runs tell others, in the transaction of what happened: hints to workers, lines of the log, messages, the end.

Runs of the kinds `task` and `workflow` have neither hints nor a log: their steps are done by the orchestrator itself.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from common.outbox import Told, telling
from contracts.orchestrator import (
    JOB_ENDED,
    JOB_STEERED,
    LOG_RECORDED,
    STEP_READY,
    JobEnded,
    JobSteered,
    LogLevel,
    LogRecord,
    Steering,
    StepReady,
)
from contracts.run_events import MOST_AT_ONCE, RUN_TOLD, RunMessage, RunTold
from contracts.tasks import TASK_ENDED, TaskEnded, TaskStatus
from orchestrator.domain import jobs
from orchestrator.domain.machine import Run, Step, Transition
from orchestrator.domain.records import Claim, Hint
from orchestrator.domain.steering import steered
from orchestrator.domain.tasks import records as tasks
from orchestrator.domain.tasks.records import task_id_of
from orchestrator.domain.workflows import messages
from orchestrator.domain.workflows import runs as workflow_runs

SPEAKER = "Orchestrator"
"""The agent that the engine's own lines of a run's log are from."""


def of_submission(run: Run) -> list[Told]:
    """A job has been entered."""
    number = len(run.steps)
    queued = _line(run.run_id, "queued", "INFO", f"Job queued: {number} agent{'s' if number > 1 else ''}")
    return [queued, *_hints(step for step in run.steps.values() if step.status == "ready")]


def of_claim(claim: Claim) -> list[Told]:
    """A worker has taken a step."""
    message = f"{claim.name} ({claim.kind}) started, attempt {claim.attempt} of {claim.max_attempts}"
    return [_line(claim.run_id, f"{claim.step_id}.{claim.fence}.started", "INFO", message)]


def of_steering(run: Run, steering: Steering) -> list[Told]:
    """Somebody has steered a job: for those who watch it, and for the workers that hold its steps."""
    at = datetime.now(UTC)
    message = steered(steering)
    line = LogRecord(run_id=run.run_id, timestamp=at, agent=SPEAKER, level="INFO", message=message, steering=steering)
    hint = JobSteered(run_id=run.run_id)
    return [
        telling(LOG_RECORDED, line, message_id=f"log.{run.run_id}.steering.{steering.number}", key=run.run_id),
        telling(JOB_STEERED, hint, message_id=f"run.{run.id}.steering.{steering.number}"),
    ]


def of_transition(transition: Transition) -> list[Told]:
    """A step or a whole job has changed."""
    match transition.run.kind:
        case jobs.KIND:
            return [*_step_lines(transition), *_hints(transition.made_ready), *_end(transition)]
        case tasks.KIND:
            return list(_end_of_task(transition))
        case workflow_runs.KIND:
            return _messages(transition)
        case _:
            return []


def of_deletion(run: Run) -> list[Told]:
    """A run of a workflow is removed while it goes on."""
    assert run.number is not None  # noqa: S101 - a workflow's run
    return _told(run, "deleted", [messages.told_of_deletion(run.number)])


def of_hints(hints: Iterable[Hint]) -> list[Told]:
    """Ready steps that nobody has claimed."""
    return [_hint(hint.step_id, hint.kind, hint.fence, hint.number) for hint in hints if hint.run_kind == jobs.KIND]


def _hints(steps: Iterable[Step]) -> Iterator[Told]:
    for step in steps:
        # One that may not be claimed yet is hinted at by the reaper, once it may.
        if step.delay == 0:
            yield _hint(step.id, step.kind, step.fence, 0)


def _hint(step_id: int, kind: str, fence: int, number: int) -> Told:
    # JetStream drops a message id it has seen: the fence and the number let a later hint about the same step through.
    body = StepReady(step_id=step_id, agent_class=kind)
    return telling(STEP_READY, body, message_id=f"step.{step_id}.{fence}.{number}")


def _step_lines(transition: Transition) -> Iterator[Told]:
    step, failure = transition.step, transition.failure
    if step is None:
        return
    if failure is not None and step.status in {"ready", "paused"}:
        again = f"attempt {step.attempt + 1} of {step.max_attempts} in {step.delay:.1f} s"
        level: LogLevel = "WARN"
        message = f"{step.name} failed: {failure.message} ({failure.code}); {again}"
    elif failure is not None:
        level, message = "ERROR", f"{step.name} failed: {failure.message} ({failure.code})"
    elif step.status == "paused":
        level, message = "INFO", f"{step.name} is paused, and goes on where it was once the job is resumed"
    elif step.status == "ready":
        level, message = "INFO", f"{step.name} was given back by its worker and will start again"
    else:
        level, message = "INFO", f"{step.name} {step.status}"
    yield _line(transition.run.run_id, f"{step.id}.{step.fence}.{step.status}", level, message)


def _end(transition: Transition) -> Iterator[Told]:
    run, status = transition.run, transition.ended
    if status is None:
        return
    level: LogLevel = "ERROR" if status == "failed" else "INFO"
    yield _line(run.run_id, status, level, f"Job {status}")
    body = JobEnded(job_id=jobs.job_id_of(run.run_id), run_id=run.run_id, status=status)
    yield telling(JOB_ENDED, body, message_id=f"run.{run.id}.ended")


def _end_of_task(transition: Transition) -> Iterator[Told]:
    run = transition.run
    match transition.ended:
        case "completed":
            status: TaskStatus = "Completed"
        case "failed":
            status = "Failed"
        case "cancelled":
            status = "Cancelled"
        case None:
            return
    body = TaskEnded(task_id=task_id_of(run.run_id), status=status)
    yield telling(TASK_ENDED, body, message_id=f"run.{run.id}.ended")


def _messages(transition: Transition) -> list[Told]:
    number, step = transition.run.number, transition.step
    assert number is not None  # noqa: S101 - a workflow's run
    error = jobs.error(transition)
    found = messages.told(number, transition, None if error is None else workflow_runs.error_text(error))
    # Approval of a step is asked for once and given once, and it ends once.
    what = "ended" if step is None else f"{step.id}.{step.status}"
    if step is not None and step.asked and step.status == "paused":
        what = f"{step.id}.asked"
    return _told(transition.run, what, list(found))


def _told(run: Run, what: str, found: list[RunMessage]) -> list[Told]:
    return [
        telling(
            RUN_TOLD,
            RunTold(owner=run.owner, messages=found[first : first + MOST_AT_ONCE]),
            message_id=f"told.{run.run_id}.{what}.{first}",
            key=str(run.number),
        )
        for first in range(0, len(found), MOST_AT_ONCE)
    ]


def _line(run_id: str, what: str, level: LogLevel, message: str) -> Told:
    record = LogRecord(run_id=run_id, timestamp=datetime.now(UTC), agent=SPEAKER, level=level, message=message)
    return telling(LOG_RECORDED, record, message_id=f"log.{run_id}.{what}", key=run_id)
