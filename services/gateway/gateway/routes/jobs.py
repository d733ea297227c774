"""Rows of document E's jobs and logs."""

from pydantic import Field

from contracts import orchestrator
from contracts.base import Message, RefusalCode
from contracts.orchestrator import GetJob, JobCancelled, JobStatus, LogLevel, LogPage, LogRecord
from contracts.pages import Page, PageRequest
from gateway.domain.run_events import Ticket
from gateway.routes.table import Route, Special, Tag, asks, view


class FollowLogs(Message):
    """`agent` is the class or the name of one. What is left out still counts for `Last-Event-ID`."""

    run_id: str = Field(min_length=1, max_length=64)
    level: LogLevel | None = None
    agent: str | None = Field(default=None, max_length=64)
    ticket: Ticket = None


class LogEnd(Message):
    """The last event of a log's stream."""

    run_id: str
    status: JobStatus


class LogHistory(Message):
    """Document E's history. `last_sequence` is what to ask `after` next, and what a stream can resume from."""

    run_id: str
    logs: list[LogRecord]
    total: int
    last_sequence: int | None
    has_more: bool


def _history(page: LogPage) -> LogHistory:
    return LogHistory(
        run_id=page.run_id,
        logs=[entry.record for entry in page.entries],
        total=page.total,
        last_sequence=page.entries[-1].sequence if page.entries else None,
        has_more=page.has_more,
    )


class ListArtifacts(GetJob, PageRequest):
    """Files of the agents that have completed, in order of their names."""


class GetArtifact(GetJob):
    name: str = Field(min_length=1, max_length=1024)


class Artifact(Message):
    """A file, `name` beginning with the agent's. `url` is where to download it; `sha256` is null if unknown."""

    name: str
    agent_name: str
    size_bytes: int
    sha256: str | None
    s3_path: str
    url: str


class ArtifactPage(Page[Artifact]):
    """Files that a job's agents made."""


class WatchJob(GetJob):
    """What is told of the job after `last_event_id`; from its beginning without."""

    last_event_id: int = Field(default=0, ge=0, le=10**18)
    ticket: Ticket = None


class EndJob(GetJob):
    """Cancels the job, which stays to be seen; with `purge` deletes one that has ended, for good."""

    purge: bool = False


_JOB_EXAMPLE = {
    "pipeline_config": {
        "run_id": "abc123",
        "nodes": [
            {"agent_name": "dataset", "agent_class": "DatasetAgent", "config": {"dataset_id": "ds_xyz789"}},
            {"agent_name": "validation", "agent_class": "ValidationAgent", "config": {}},
            {
                "agent_name": "preprocessing",
                "agent_class": "PreprocessingAgent",
                "config": {
                    "base_model": "meta-llama/Llama-2-7b-hf",
                    "template": "alpaca",
                    "template_mapping": {"instruction": "question", "output": "answer"},
                },
            },
        ],
        "edges": [
            {"from_agent": "dataset", "to_agent": "validation"},
            {"from_agent": "validation", "to_agent": "preprocessing"},
        ],
        "global_config": {"max_retries": 3},
    }
}

_JOB = "/api/v1/jobs/{job_id}"

JOBS = (
    asks(
        "POST",
        "/api/v1/jobs",
        orchestrator.SUBMIT_JOB,
        tag=Tag.JOBS,
        summary="Submit a pipeline job",
        description=(
            "Written out in `pipeline_config`, or one of the usual jobs by its `template` (see"
            " `GET /api/v1/job-templates`): a data set and a base model are enough."
        ),
        once=True,
        status=201,
        example=_JOB_EXAMPLE,
    ),
    asks(
        "GET",
        "/api/v1/jobs",
        orchestrator.LIST_JOBS,
        tag=Tag.JOBS,
        summary="List jobs",
        description="Newest first, without their results. `owner=me` are the caller's own.",
    ),
    asks(
        "GET",
        "/api/v1/job-templates",
        orchestrator.LIST_JOB_TEMPLATES,
        tag=Tag.JOBS,
        summary="List the usual jobs, which need not be written out",
    ),
    asks("GET", _JOB, orchestrator.GET_JOB, tag=Tag.JOBS, summary="Get a job's status and results"),
    Route(
        method="DELETE",
        path=_JOB,
        tag=Tag.JOBS,
        summary="Cancel a job, or delete one that has ended",
        description=(
            "It ends at once, and what works on it is stopped within moments. With `purge=true` a job that has ended is"
            " deleted instead, with its log and all that it left in the object store; what models and other jobs need"
            " of that stays, and its run id is not given again. For its owner and admins."
        ),
        role="member",
        request=EndJob,
        response=JobCancelled,
        special=Special.END_JOB,
        refusals=orchestrator.DELETE_JOB.refusals,
    ),
    asks(
        "POST",
        _JOB + "/pause",
        orchestrator.PAUSE_JOB,
        tag=Tag.JOBS,
        summary="Pause a job",
        description=(
            "Nothing more of it is begun. An agent that trains keeps a checkpoint and stops; others have half a minute"
            " to finish, and begin again when the job is resumed."
        ),
    ),
    asks("POST", _JOB + "/resume", orchestrator.RESUME_JOB, tag=Tag.JOBS, summary="Resume a paused job"),
    asks(
        "POST",
        _JOB + "/adjust",
        orchestrator.ADJUST_JOB,
        tag=Tag.JOBS,
        summary="Change the learning rate of a job that trains",
        description=(
            "The schedule keeps its shape. The record of the log whose `adjustment` is the answer's `number` says from"
            " which training step on it holds."
        ),
        status=202,
        example={"learning_rate": 5e-5},
    ),
    asks(
        "POST",
        _JOB + "/retry",
        orchestrator.RETRY_JOB,
        tag=Tag.JOBS,
        summary="Go on from where a job ended",
        description=(
            "Makes a new job, `<run_id>-r2` and so on, which takes over what had completed, and checkpoints of what"
            " had not. `configs` and `from_agent` say what is to be done again, otherwise or not."
        ),
        once=True,
        status=201,
        example={"configs": {"training": {"learning_rate": 5e-5}}},
    ),
    Route(
        method="GET",
        path=_JOB + "/artifacts",
        tag=Tag.JOBS,
        summary="List the files that a job's agents made",
        role="viewer",
        request=ListArtifacts,
        response=ArtifactPage,
        special=Special.LIST_ARTIFACTS,
        refusals=(*orchestrator.GET_JOB_OUTPUTS.refusals, RefusalCode.STORAGE_FAILED),
    ),
    Route(
        method="GET",
        path=_JOB + "/artifacts/{name:.+}",
        tag=Tag.JOBS,
        summary="Download a file that a job's agents made",
        description="`Range` asks for a part of it. `Repr-Digest` has its SHA-256, where that is known.",
        role="viewer",
        request=GetArtifact,
        response=None,
        media="application/octet-stream",
        special=Special.DOWNLOAD_ARTIFACT,
        refusals=(*orchestrator.GET_JOB_OUTPUTS.refusals, RefusalCode.STORAGE_FAILED),
    ),
    Route(
        method="GET",
        path="/ws/jobs/{job_id}",
        tag=Tag.JOBS,
        summary="Watch and steer a job over a WebSocket",
        description=(
            "Sends `log`, `metric`, `steering` and `progress`, and `end` after the last; the first three have an `id`:"
            " a client that comes back with it as `last_event_id` misses nothing and sees nothing twice. Takes"
            ' `{"request_id", "action"}` with the actions `pause`, `resume`, `cancel` and `adjust` (with'
            " `learning_rate`) from the job's owner and admins, and answers each with an `ack`. Everyone who watches"
            " sees who did what. Closed with 1000 after the end, 4401 when the caller is not let in any more, 1001 when"
            " the gateway ends, 1013 when the log cannot be read."
        ),
        role="viewer",
        request=WatchJob,
        response=None,
        special=Special.WATCH_JOB,
        status=101,
        refusals=(RefusalCode.INVALID, RefusalCode.NOT_FOUND),
    ),
)

LOGS = (
    Route(
        method="GET",
        path="/api/v1/logs/stream/{run_id}",
        tag=Tag.LOGS,
        summary="Follow a run's log, as server-sent events",
        description=(
            "Each record is one `data:` line, its `id:` the place in the log: a client that comes back with"
            " `Last-Event-ID` misses nothing and sees nothing twice. An `end` event follows the last record once the"
            " job has ended."
        ),
        role="viewer",
        request=FollowLogs,
        response=None,
        media="text/event-stream",
        special=Special.STREAM_LOGS,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    asks(
        "GET",
        "/api/v1/logs/history/{run_id}",
        orchestrator.GET_LOGS,
        tag=Tag.LOGS,
        summary="Get a run's log",
        description=(
            "Oldest first, after the sequence `after`; with `order=desc` newest first, before `before`. `agent` is the"
            " class or the name of one."
        ),
        view=view(LogHistory, _history),
        omit_absent=True,
    ),
    asks(
        "GET",
        "/api/v1/logs/metrics/{run_id}",
        orchestrator.GET_METRICS,
        tag=Tag.LOGS,
        summary="Get the numbers that a run's agents measured, to plot them",
        description="Thinned out evenly to `points` of each agent. Of a step that was done twice, what came last.",
    ),
)
