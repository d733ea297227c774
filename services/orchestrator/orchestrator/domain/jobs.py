"""A job as its caller sees it (document E): a run of kind `job`, whose state follows from its steps."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import ClaimedStep, Job, JobAccepted, JobError, JobProgress, JobStatus, StepView
from contracts.pipeline import AgentOutput, GlobalConfig, RegistrationOutput
from orchestrator.domain.machine import Transition
from orchestrator.domain.records import Claim, RunRecord, StepRecord, Submission

KIND = "job"
_JOB_ID = re.compile(r"job_([A-Za-z0-9][A-Za-z0-9_-]{0,63})")
_OUTPUT: TypeAdapter[AgentOutput] = TypeAdapter(AgentOutput)


def job_id_of(run_id: str) -> str:
    return f"job_{run_id}"


def run_id_of(job_id: str) -> str:
    """Raises `Refused(NOT_FOUND)` for an id that no job can have."""
    if (match := _JOB_ID.fullmatch(job_id)) is None:
        raise no_such_job(job_id)
    return match[1]


def no_such_job(job_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "There is no such job", {"job_id": job_id})


def check_same(record: RunRecord, submission: Submission) -> None:
    """Raises `Refused(CONFLICT)` unless `record`, of the same run id or key, is what `submission` asks for."""
    if record.owner == submission.owner and record.definition == submission.definition:
        return
    if record.run_id == submission.run_id:
        message = f"There already is another run {record.run_id!r}: choose another run_id, or none"
        raise Refused(RefusalCode.CONFLICT, message, {"run_id": record.run_id})
    message = "This idempotency key has been used for another job"
    raise Refused(RefusalCode.CONFLICT, message, {"idempotency_key": submission.idempotency_key})


def accepted(record: RunRecord) -> JobAccepted:
    return JobAccepted(
        job_id=job_id_of(record.run_id), run_id=record.run_id, status=status(record), created_at=record.created_at
    )


def job(record: RunRecord, *, with_result: bool = True) -> Job:
    """The job that a run is. Its result is there once it has completed."""
    steps = record.steps
    started = [step.started_at for step in steps if step.started_at is not None]
    return Job(
        job_id=job_id_of(record.run_id),
        run_id=record.run_id,
        status=status(record),
        created_at=record.created_at,
        started_at=min(started, default=None),
        completed_at=record.finished_at,
        progress=progress(steps),
        steps=[_view(step) for step in steps],
        model_id=_model_id(steps),
        result=_result(steps) if with_result and record.status == "completed" else None,
        error=None if record.error is None else JobError.model_validate(record.error),
    )


def status(record: RunRecord) -> JobStatus:
    """A job is pending until its first agent starts."""
    if record.status != "active":
        return record.status
    return "running" if any(step.started_at is not None for step in record.steps) else "pending"


def progress(steps: Sequence[StepRecord]) -> JobProgress:
    """Agents in the order in which they completed, and in which they started."""
    completed = [(step.finished_at, step.name) for step in steps if step.status == "completed" and step.finished_at]
    running = [(step.started_at, step.name) for step in steps if step.status == "running" and step.started_at]
    current = [name for _, name in sorted(running)]
    return JobProgress(
        completed_agents=[name for _, name in sorted(completed)],
        current_agent=current[0] if current else None,
        current_agents=current,
        total_agents=len(steps),
    )


def error(transition: Transition) -> dict[str, Any] | None:
    """The `JobError` of a job that fails with this transition."""
    step, failure = transition.step, transition.failure
    if transition.ended != "failed" or step is None or failure is None:
        return None
    told = JobError(agent=step.name, code=failure.code, message=failure.message, metadata=failure.metadata)
    return told.model_dump(mode="json")


def claimed(claim: Claim, lease_seconds: float) -> ClaimedStep:
    """What the worker of a step is told."""
    return ClaimedStep(
        step_id=claim.step_id,
        fence=claim.fence,
        attempt=claim.attempt,
        lease_seconds=lease_seconds,
        deadline=claim.deadline,
        job_id=job_id_of(claim.run_id),
        run_id=claim.run_id,
        agent_name=claim.name,
        agent_class=claim.kind,
        config=claim.config,
        global_config=GlobalConfig.model_validate(claim.options),
        inputs=[_OUTPUT.validate_python(output) for output in claim.inputs],
        traceparent=claim.traceparent,
    )


def _view(step: StepRecord) -> StepView:
    return StepView(
        agent_name=step.name,
        agent_class=step.kind,
        status=step.status,
        attempt=step.attempt,
        started_at=step.started_at,
        finished_at=step.finished_at,
    )


def _result(steps: Sequence[StepRecord]) -> dict[str, AgentOutput]:
    return {step.name: _OUTPUT.validate_python(step.output) for step in steps if step.output is not None}


def _model_id(steps: Sequence[StepRecord]) -> str | None:
    outputs = (_OUTPUT.validate_python(step.output) for step in steps if step.output is not None)
    return next((output.model_id for output in outputs if isinstance(output, RegistrationOutput)), None)
