"""Jobs for their callers: submitted, shown, steered (document E)."""

from typing import Any

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.orchestrator.names import JobStatus, StepStatus
from contracts.pages import Page, PageRequest
from contracts.pipeline import AgentOutput, Name, PipelineConfig


class SubmitJob(Message):
    pipeline_config: PipelineConfig


class JobAccepted(Message):
    job_id: str
    run_id: str
    status: JobStatus
    created_at: Timestamp


class JobProgress(Message):
    """With parallel branches `current_agent` is the one that started first; `current_agents` lists all.

    `cached_agents` are those of the completed that were not done again, since nothing they depend on had changed.
    """

    completed_agents: list[str]
    current_agent: str | None
    current_agents: list[str]
    total_agents: int
    cached_agents: list[str] = []


class JobError(Message):
    """What a failed job failed of; `code` is one of document E's error codes."""

    agent: str | None
    code: str
    message: str
    metadata: dict[str, Any] = {}


class StepView(Message):
    """`cached`: its result is that of an earlier run."""

    agent_name: str
    agent_class: str
    status: StepStatus
    attempt: int
    started_at: Timestamp | None
    finished_at: Timestamp | None
    cached: bool = False


class Job(Message):
    """`owner` is the id of who submitted it, and may steer it."""

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
    owner: str = ""


class GetJob(Message):
    job_id: str


class ListJobs(PageRequest):
    status: JobStatus | None = None


class JobPage(Page[Job]):
    """Jobs, newest first. `result` is left out of them: a page would carry all outputs of all jobs."""


class JobCancelled(Message):
    job_id: str
    status: JobStatus


class AdjustJob(Message):
    """Changes the learning rate of the agents that train, or of the one named, from their next step on.

    The schedule keeps its shape: `learning_rate` stands for the one in the agent's configuration.
    """

    job_id: str
    learning_rate: float = Field(gt=0, lt=1)
    agent_name: Name | None = None


class AdjustmentAccepted(Message):
    """`number` is in the record of the log that tells from which training step on it holds."""

    job_id: str
    number: int


_STEERED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT, RefusalCode.FORBIDDEN)
"""Only its owner and administrators may steer a job, and only one that goes on."""

SUBMIT_JOB = Rpc(
    "orchestrator.v1.jobs.submit",
    SubmitJob,
    JobAccepted,
    refusals=(RefusalCode.INVALID, RefusalCode.CONFIG_INVALID, RefusalCode.CONFLICT, RefusalCode.NOT_FOUND),
)
GET_JOB = Rpc("orchestrator.v1.jobs.get", GetJob, Job, refusals=(RefusalCode.NOT_FOUND,))
LIST_JOBS = Rpc("orchestrator.v1.jobs.list", ListJobs, JobPage)
CANCEL_JOB = Rpc("orchestrator.v1.jobs.cancel", GetJob, JobCancelled, refusals=_STEERED)
PAUSE_JOB = Rpc("orchestrator.v1.jobs.pause", GetJob, Job, refusals=_STEERED)
RESUME_JOB = Rpc("orchestrator.v1.jobs.resume", GetJob, Job, refusals=_STEERED)
ADJUST_JOB = Rpc("orchestrator.v1.jobs.adjust", AdjustJob, AdjustmentAccepted, refusals=_STEERED)


class JobEnded(EventBody):
    """A job reached a terminal state, which never changes again."""

    job_id: str
    run_id: str
    status: JobStatus


JOB_ENDED = Event("events.orchestrator.job.ended", JobEnded, stream="EVENTS")
