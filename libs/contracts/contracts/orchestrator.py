"""What the orchestrator answers and tells:

jobs, the steps that workers claim, and logs (document E, DESIGN.md section 4).
"""

from typing import Any, Literal

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.pipeline import AgentOutput, GlobalConfig, Name, PipelineConfig

JobStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
StepStatus = Literal["waiting", "ready", "paused", "running", "completed", "failed", "cancelled", "skipped"]
LogLevel = Literal["INFO", "WARN", "ERROR", "METRIC"]

# Jobs


class SubmitJob(Message):
    pipeline_config: PipelineConfig


class JobAccepted(Message):
    job_id: str
    run_id: str
    status: JobStatus
    created_at: Timestamp


class JobProgress(Message):
    """With parallel branches `current_agent` is the one that started first; `current_agents` lists all."""

    completed_agents: list[str]
    current_agent: str | None
    current_agents: list[str]
    total_agents: int


class JobError(Message):
    """What a failed job failed of; `code` is one of document E's error codes."""

    agent: str | None
    code: str
    message: str
    metadata: dict[str, Any] = {}


class StepView(Message):
    agent_name: str
    agent_class: str
    status: StepStatus
    attempt: int
    started_at: Timestamp | None
    finished_at: Timestamp | None


class Job(Message):
    job_id: str
    run_id: str
    status: JobStatus
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    progress: JobProgress
    steps: list[StepView]
    model_id: str | None
    result: dict[str, AgentOutput] | None
    error: JobError | None


class GetJob(Message):
    job_id: str


class ListJobs(PageRequest):
    status: JobStatus | None = None


class JobPage(Page[Job]):
    """Jobs, newest first. `result` is left out of them: a page would carry all outputs of all jobs."""


class JobCancelled(Message):
    job_id: str
    status: JobStatus


SUBMIT_JOB = Rpc(
    "orchestrator.v1.jobs.submit",
    SubmitJob,
    JobAccepted,
    refusals=(RefusalCode.INVALID, RefusalCode.CONFIG_INVALID, RefusalCode.CONFLICT, RefusalCode.NOT_FOUND),
)
GET_JOB = Rpc("orchestrator.v1.jobs.get", GetJob, Job, refusals=(RefusalCode.NOT_FOUND,))
LIST_JOBS = Rpc("orchestrator.v1.jobs.list", ListJobs, JobPage)
CANCEL_JOB = Rpc(
    "orchestrator.v1.jobs.cancel",
    GetJob,
    JobCancelled,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT),
)

# Steps: how a worker that owns no schema of the orchestrator's takes part


class ClaimStep(Message):
    """Asks for one ready step of the given classes. `step_id` names the one of a hint; without it, the oldest."""

    worker_id: str = Field(min_length=1, max_length=200)
    agent_classes: list[str] = Field(min_length=1)
    step_id: int | None = None


class ClaimedStep(Message):
    """A step that is this worker's until its lease ends.

    `inputs` are the outputs of all its ancestors, nearest first.
    """

    step_id: int
    fence: int
    attempt: int
    lease_seconds: float
    deadline: Timestamp
    job_id: str
    run_id: str
    agent_name: str
    agent_class: str
    config: dict[str, Any]
    global_config: GlobalConfig
    inputs: list[AgentOutput]
    traceparent: str | None = None


class ClaimReply(Message):
    step: ClaimedStep | None


class HeldStep(Message):
    step_id: int
    fence: int


class BeatSteps(Message):
    worker_id: str
    steps: list[HeldStep] = Field(min_length=1, max_length=1000)


class StepVerdict(Message):
    """`held`:

    the lease is extended. `cancel`: stop, then finish as cancelled. `lost`: another holds it; drop the work.
    """

    step_id: int
    verdict: Literal["held", "cancel", "lost"]


class BeatReply(Message):
    verdicts: list[StepVerdict]


class StepSucceeded(Message):
    outcome: Literal["succeeded"] = "succeeded"
    output: AgentOutput


class StepFailed(Message):
    """`retryable`: another attempt may go better, as after a lost connection; bad input is not."""

    outcome: Literal["failed"] = "failed"
    code: str
    message: str
    metadata: dict[str, Any] = {}
    retryable: bool


class StepCancelled(Message):
    outcome: Literal["cancelled"] = "cancelled"


class StepReleased(Message):
    """The worker is shutting down: the step goes back at once, and the attempt does not count."""

    outcome: Literal["released"] = "released"


class FinishStep(Message):
    step_id: int
    fence: int
    result: StepSucceeded | StepFailed | StepCancelled | StepReleased = Field(discriminator="outcome")


class FinishReply(Message):
    """`recorded` is false when the fence was passed on:

    the result is dropped, because another attempt holds the step.
    """

    recorded: bool


CLAIM_STEP = Rpc("orchestrator.v1.steps.claim", ClaimStep, ClaimReply)
BEAT_STEPS = Rpc("orchestrator.v1.steps.beat", BeatSteps, BeatReply, timeout=5.0)
FINISH_STEP = Rpc("orchestrator.v1.steps.finish", FinishStep, FinishReply)


class StepReady(EventBody):
    """A hint, which may be lost: this step can be claimed."""

    step_id: int
    agent_class: str


STEP_READY = Event("work.trainer.step.ready", StepReady, stream="WORK")

# Logs


class LogRecord(EventBody):
    """One line of a run's log. METRIC records carry the numbers that the caller plots; absent ones are left out."""

    run_id: str
    timestamp: Timestamp
    agent: str
    level: LogLevel
    message: str
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens_per_second: float | None = None


LOG_RECORDED = Event("logs.v1.run", LogRecord, stream="LOGS", keyed=True)


class GetLogs(Message):
    """The oldest `limit` records of a run after sequence `after`."""

    run_id: Name
    limit: int = Field(default=100, ge=1, le=1000)
    after: int = Field(default=0, ge=0)


class LogEntry(Message):
    sequence: int
    record: LogRecord


class LogPage(Message):
    run_id: str
    entries: list[LogEntry]
    total: int


GET_LOGS = Rpc("orchestrator.v1.logs.get", GetLogs, LogPage, refusals=(RefusalCode.NOT_FOUND,))


class JobEnded(EventBody):
    """A job reached a terminal state, which never changes again."""

    job_id: str
    run_id: str
    status: JobStatus


JOB_ENDED = Event("events.orchestrator.job.ended", JobEnded, stream="EVENTS")
