"""A job as its caller sees it (document E): a run of kind `job`, whose state follows from its steps."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    ClaimedStep,
    Job,
    JobAccepted,
    JobError,
    JobProgress,
    JobStatus,
    StepAdjustment,
    StepStatus,
    StepView,
)
from contracts.pipeline import AgentOutput, GlobalConfig, PipelineConfig, RegistrationOutput
from orchestrator.domain.machine import RunStatus, Transition
from orchestrator.domain.records import Claim, Submission
from orchestrator.domain.sweeps import expanded

KIND = "job"
TRAINER = "TrainingAgent"
_JOB_ID = re.compile(r"job_([A-Za-z0-9][A-Za-z0-9_-]{0,63})")
_OUTPUT: TypeAdapter[AgentOutput] = TypeAdapter(AgentOutput)


_RESUMES = "resumes"


@dataclass(frozen=True)
class HowFar:
    """The training step that an agent is at, of how many, and the seconds that one takes, where that is known.

    `furthest` is how far it has come at most, from 0 to 1: an attempt that goes on from a checkpoint does some steps
    again.
    """

    step: int
    total: int
    pace: float | None
    furthest: float

    @property
    def share(self) -> float:
        """What is done of it, from 0 to 1."""
        now = min(self.step / self.total, 1.0) if self.total > 0 else 0.0
        return max(now, self.furthest)

    @property
    def seconds_left(self) -> float | None:
        return None if self.pace is None else round(max(self.total - self.step, 0) * self.pace, 1)


Trainings = Mapping[tuple[str, str], HowFar]
"""How far agents that train are, by run and name."""
NONE_TRAINS: Trainings = MappingProxyType({})


@dataclass(frozen=True)
class JobStep:
    """A step of a job. `started_at` is when its first attempt started.

    `cached`: its output was found to be that of an earlier run, when somebody had claimed it.
    """

    position: int
    name: str
    kind: str
    status: StepStatus
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    output: dict[str, Any] | None
    cached: bool

    @property
    def was_there(self) -> bool:
        """Whether the run began with its output, which is that of the one that it goes on from."""
        return self.status == "completed" and self.attempt == 0


@dataclass(frozen=True)
class JobRecord:
    """A job with all its steps, in the order of its definition. `resumes` is the run that it goes on from."""

    run_id: str
    owner: str
    status: RunStatus
    paused: bool
    definition: dict[str, Any]
    resumes: str | None
    error: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None
    steps: tuple[JobStep, ...]


def options_of(config: PipelineConfig, resumes: str | None = None) -> dict[str, Any]:
    """What holds for every step of the job, as it is kept."""
    options: dict[str, Any] = config.global_config.model_dump(mode="json")
    return options if resumes is None else {**options, _RESUMES: resumes}


def job_id_of(run_id: str) -> str:
    return f"job_{run_id}"


def run_id_of(job_id: str) -> str:
    """Raises `Refused(NOT_FOUND)` for an id that no job can have."""
    if (match := _JOB_ID.fullmatch(job_id)) is None:
        raise no_such_job(job_id)
    return match[1]


def no_such_job(job_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "There is no such job", {"job_id": job_id})


def check_same(record: JobRecord, submission: Submission) -> None:
    """Raises `Refused(CONFLICT)` unless `record`, of the same run id or key, is what `submission` asks for."""
    if record.owner == submission.owner and _reads_as(record.definition, submission.definition):
        return
    if record.run_id == submission.run_id:
        message = f"There already is another run {record.run_id!r}: choose another run_id, or none"
        raise Refused(RefusalCode.CONFLICT, message, {"run_id": record.run_id})
    message = "This idempotency key has been used for another job"
    raise Refused(RefusalCode.CONFLICT, message, {"idempotency_key": submission.idempotency_key})


def _reads_as(kept: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether both say the same: what an earlier version wrote lacks fields that have been added since."""
    try:
        return PipelineConfig.model_validate(kept) == PipelineConfig.model_validate(asked)
    except ValidationError:
        # A run of another kind.
        return False


def accepted(record: JobRecord) -> JobAccepted:
    return JobAccepted(
        job_id=job_id_of(record.run_id), run_id=record.run_id, status=status(record), created_at=record.created_at
    )


def begun_trainings(records: Iterable[JobRecord]) -> list[tuple[str, str]]:
    """The runs and names of the agents that have begun to train and not completed it."""
    return [
        (record.run_id, step.name)
        for record in records
        for step in record.steps
        if step.kind == TRAINER and step.started_at is not None and step.status != "completed"
    ]


def job(record: JobRecord, *, with_result: bool = True, trainings: Trainings = NONE_TRAINS) -> Job:
    """The job that a run is. Its result is there once it has completed."""
    steps = record.steps
    how_far = {name: found for (run_id, name), found in trainings.items() if run_id == record.run_id}
    tried = expanded(PipelineConfig.model_validate(record.definition)).tried
    started = [step.started_at for step in steps if step.started_at is not None and not step.was_there]
    return Job(
        job_id=job_id_of(record.run_id),
        run_id=record.run_id,
        status=status(record),
        created_at=record.created_at,
        started_at=min(started, default=None),
        completed_at=record.finished_at,
        progress=progress(steps, how_far),
        steps=[_view(step, tried.get(step.name, {}), how_far.get(step.name)) for step in steps],
        model_id=_model_id(steps),
        result=outputs(steps) if with_result and record.status == "completed" else None,
        error=None if record.error is None else JobError.model_validate(record.error),
        owner=record.owner,
        retry_of=None if record.resumes is None else job_id_of(record.resumes),
    )


def status(record: JobRecord) -> JobStatus:
    """A job is pending until its first agent starts."""
    if record.status != "active":
        return record.status
    if record.paused:
        return "paused"
    return "running" if any(step.started_at and not step.was_there for step in record.steps) else "pending"


def progress(steps: Sequence[JobStep], how_far: Mapping[str, HowFar] = MappingProxyType({})) -> JobProgress:
    """Agents in the order in which they completed, and in which they started."""
    done = [step for step in steps if step.status == "completed"]
    completed = [(step.finished_at, step.position, step.name) for step in done if step.finished_at]
    running = [(step.started_at, step.name) for step in steps if step.status == "running" and step.started_at]
    current = [name for _, name in sorted(running)]
    return JobProgress(
        completed_agents=[name for *_, name in sorted(completed)],
        current_agent=current[0] if current else None,
        current_agents=current,
        total_agents=len(steps),
        cached_agents=[step.name for step in done if step.cached or step.was_there],
        percent=round(100 * (len(done) + sum(one.share for one in how_far.values())) / len(steps), 1),
    )


def error(transition: Transition) -> dict[str, Any] | None:
    """The `JobError` of a job that fails with this transition."""
    step, failure = transition.step, transition.failure
    if transition.ended != "failed" or step is None or failure is None:
        return None
    told = JobError(agent=step.name, code=failure.code, message=failure.message, metadata=failure.metadata)
    return told.model_dump(mode="json")


def claimed(claim: Claim, lease_seconds: float, adjustments: Sequence[StepAdjustment]) -> ClaimedStep:
    """What the worker of a step is told."""
    options = dict(claim.options)
    resumes = options.pop(_RESUMES, None)
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
        global_config=GlobalConfig.model_validate(options),
        inputs=[_OUTPUT.validate_python(output) for output in claim.inputs],
        traceparent=claim.traceparent,
        adjustments=list(adjustments),
        resumes=resumes,
    )


def _view(step: JobStep, tried: Mapping[str, Any], how_far: HowFar | None) -> StepView:
    return StepView(
        agent_name=step.name,
        agent_class=step.kind,
        status=step.status,
        attempt=step.attempt,
        started_at=step.started_at,
        finished_at=step.finished_at,
        cached=step.cached or step.was_there,
        sweep=dict(tried),
        training_step=None if how_far is None else how_far.step,
        total_steps=None if how_far is None else how_far.total,
        seconds_left=how_far.seconds_left if how_far is not None and step.status == "running" else None,
    )


def outputs(steps: Sequence[JobStep]) -> dict[str, AgentOutput]:
    """What the steps have put out, by name."""
    return {step.name: _OUTPUT.validate_python(step.output) for step in steps if step.output is not None}


def readable_outputs(record: JobRecord) -> dict[str, dict[str, Any]]:
    """As they are kept, without those that an earlier version wrote and this one cannot read."""
    return {step.name: step.output for step in record.steps if step.output is not None and _is_readable(step.output)}


def _is_readable(output: dict[str, Any]) -> bool:
    try:
        _OUTPUT.validate_python(output)
    except ValidationError:
        return False
    return True


def _model_id(steps: Sequence[JobStep]) -> str | None:
    found = (_OUTPUT.validate_python(step.output) for step in steps if step.output is not None)
    return next((output.model_id for output in found if isinstance(output, RegistrationOutput)), None)
