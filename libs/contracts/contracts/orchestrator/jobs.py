"""Jobs for their callers: submitted, shown, steered (document E)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.base import Empty, Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.orchestrator.names import JobStatus, StepStatus
from contracts.pages import Page, PageRequest
from contracts.pipeline import AgentOutput, Edge, GlobalConfig, Name, PipelineConfig, SubmittedModel
from contracts.pipeline.jobs import SweptField, SweptValues

TemplateName = Literal["finetune", "sweep", "evaluate", "export", "prepare", "validate"]
Configs = Annotated[dict[Name, dict[str, Any]], Field(max_length=200)]
"""Fields of agents' configurations, by the names of the agents."""


class SubmitJob(Message):
    """A job, written out in `pipeline_config`, or of one of the usual forms, named by `template`.

    What else is given belongs to the template. `configs` are fields of its agents' configurations, by their names.
    """

    pipeline_config: PipelineConfig | None = None
    template: TemplateName | None = None
    run_id: Name | None = None
    dataset_id: str | None = Field(default=None, max_length=64)
    file_path: str | None = Field(default=None, max_length=1024)
    base_model: SubmittedModel | None = None
    model_name: Name | None = None
    models: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=50)
    configs: Configs = {}
    sweep: dict[Name, dict[SweptField, SweptValues]] = Field(default={}, max_length=8)
    global_config: GlobalConfig | None = None


class JobAccepted(Message):
    job_id: str
    run_id: str
    status: JobStatus
    created_at: Timestamp


class JobProgress(Message):
    """With parallel branches `current_agent` is the one that started first; `current_agents` lists all.

    `cached_agents` are those of the completed that were not done again, since nothing they depend on had changed.
    `percent` counts each agent alike, one that trains as far as it ever came: it never falls.
    """

    completed_agents: list[str]
    current_agent: str | None
    current_agents: list[str]
    total_agents: int
    cached_agents: list[str] = []
    percent: float = 0.0


class JobError(Message):
    """What a failed job failed of; `code` is one of document E's error codes."""

    agent: str | None
    code: str
    message: str
    metadata: dict[str, Any] = {}


class StepView(Message):
    """`cached`: its result is that of an earlier run. `sweep` are the values that this one of a sweep tries.

    `training_step` of `total_steps` is how far an agent is that trains, by its last record, and `seconds_left` how long
    the rest takes at its present pace, without evaluation; null while that is not known.
    """

    agent_name: str
    agent_class: str
    status: StepStatus
    attempt: int
    started_at: Timestamp | None
    finished_at: Timestamp | None
    cached: bool = False
    sweep: dict[str, Any] = {}
    training_step: int | None = None
    total_steps: int | None = None
    seconds_left: float | None = None


class Job(Message):
    """`owner` is the id of who submitted it, and may steer it. `retry_of` is the job that this one goes on from."""

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
    retry_of: str | None = None


class GetJob(Message):
    job_id: str


class JobOutputs(Message):
    """What the agents that have completed have put out, by name."""

    outputs: dict[str, AgentOutput]


class ListJobs(PageRequest):
    """`owner` is the id of who submitted them, `me` for the caller's own."""

    status: JobStatus | None = None
    owner: str | None = Field(default=None, min_length=1, max_length=100)
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None


class RetryJob(Message):
    """Goes on from a job that has ended: what had completed is taken over, the rest is done.

    `configs` stand over fields of agents' configurations, by name; those agents and what follows them are done again.
    So are `from_agent` and what follows it. A job that had completed is done again whole, where neither is given.
    """

    job_id: str
    run_id: Name | None = None
    from_agent: Name | None = None
    configs: Configs = {}


class JobPage(Page[Job]):
    """Jobs, newest first. `result` is left out of them: a page would carry all outputs of all jobs."""


class JobCancelled(Message):
    job_id: str
    status: JobStatus


class JobDeleted(Message):
    """A job that is gone for good. `freed_bytes` of the object store are free so far. With `pending` the rest follows:
    within minutes, or once jobs that go on have read what they were told to read of it."""

    job_id: str
    status: Literal["deleted"] = "deleted"
    freed_bytes: int
    pending: bool


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


class FindJobsOfDataset(Message):
    dataset_id: str = Field(pattern=r"^ds_[a-z0-9]{8,32}$")


class JobOfDataset(Message):
    """A job that reads a data set. `goes_on`: it has not ended, and may need it still."""

    job_id: str
    run_id: str
    goes_on: bool


class JobsOfDataset(Message):
    """Those that go on first, then the newest; 100 at most."""

    jobs: list[JobOfDataset]


class FindPathsInUse(Message):
    """Which of these places in the object store do jobs that go on still read?"""

    paths: list[str] = Field(max_length=1000)


class PathsInUse(Message):
    paths: list[str]


class FindJobsComparing(Message):
    """Which jobs that go on have yet to compare a model that they name by one of these?"""

    models: list[str]


class JobsComparing(Message):
    """100 at most."""

    job_ids: list[str]


class TemplateAgent(Message):
    agent_name: str
    agent_class: str


class JobTemplate(Message):
    """A usual job. `required` and `optional` are fields of its submission; `configs` name its `agents`."""

    template: TemplateName
    description: str
    required: list[str]
    optional: list[str]
    agents: list[TemplateAgent]
    edges: list[Edge]


class JobTemplates(Message):
    templates: list[JobTemplate]


_STEERED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT, RefusalCode.FORBIDDEN)
"""Only its owner and administrators may steer a job, and only one that goes on."""

SUBMIT_JOB = Rpc(
    "orchestrator.v1.jobs.submit",
    SubmitJob,
    JobAccepted,
    refusals=(RefusalCode.INVALID, RefusalCode.CONFIG_INVALID, RefusalCode.CONFLICT, RefusalCode.NOT_FOUND),
)
GET_JOB = Rpc("orchestrator.v1.jobs.get", GetJob, Job, refusals=(RefusalCode.NOT_FOUND,))
GET_JOB_OUTPUTS = Rpc("orchestrator.v1.jobs.outputs", GetJob, JobOutputs, refusals=(RefusalCode.NOT_FOUND,))
LIST_JOBS = Rpc("orchestrator.v1.jobs.list", ListJobs, JobPage)
FIND_JOBS_OF_DATASET = Rpc("orchestrator.v1.jobs.of_dataset", FindJobsOfDataset, JobsOfDataset)
FIND_PATHS_IN_USE = Rpc("orchestrator.v1.jobs.using", FindPathsInUse, PathsInUse)
FIND_JOBS_COMPARING = Rpc("orchestrator.v1.jobs.comparing", FindJobsComparing, JobsComparing)
LIST_JOB_TEMPLATES = Rpc("orchestrator.v1.jobs.templates", Empty, JobTemplates)
RETRY_JOB = Rpc(
    "orchestrator.v1.jobs.retry",
    RetryJob,
    JobAccepted,
    refusals=(RefusalCode.INVALID, RefusalCode.CONFIG_INVALID, RefusalCode.CONFLICT, RefusalCode.NOT_FOUND),
)
CANCEL_JOB = Rpc("orchestrator.v1.jobs.cancel", GetJob, JobCancelled, refusals=_STEERED)
DELETE_JOB = Rpc("orchestrator.v1.jobs.delete", GetJob, JobDeleted, refusals=_STEERED, timeout=30.0)
PAUSE_JOB = Rpc("orchestrator.v1.jobs.pause", GetJob, Job, refusals=_STEERED)
RESUME_JOB = Rpc("orchestrator.v1.jobs.resume", GetJob, Job, refusals=_STEERED)
ADJUST_JOB = Rpc("orchestrator.v1.jobs.adjust", AdjustJob, AdjustmentAccepted, refusals=_STEERED)


class JobEnded(EventBody):
    """A job reached a terminal state, which never changes again."""

    job_id: str
    run_id: str
    status: JobStatus


JOB_ENDED = Event("events.orchestrator.job.ended", JobEnded, stream="EVENTS")
