"""Rows of document E: data sets, jobs, models and logs."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from contracts import orchestrator, registry
from contracts.base import Message, RefusalCode
from contracts.orchestrator import JobStatus, LogPage, LogRecord
from contracts.pipeline import DatasetFormat
from contracts.registry import Dataset, GetDownload, ModelCard
from gateway.domain.run_events import Ticket
from gateway.routes.table import Route, Special, Tag, View, asks, view


class DatasetUpload(Message):
    """The parts of an upload. Without `format` it follows from the file's name and content."""

    file: Annotated[Any, WithJsonSchema({"type": "string", "format": "binary", "title": "File"})]
    format: DatasetFormat | None = None


class DownloadModel(GetDownload):
    """`presigned` asks for a URL of the object store instead of the bytes; only an export of one file has one."""

    presigned: bool = False


class PresignedDownload(Message):
    """A URL that needs no key until it expires, `expires_in` seconds from now."""

    url: str
    expires_in: int


class FollowLogs(Message):
    run_id: str = Field(min_length=1, max_length=64)
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


def _history(page: LogPage) -> LogHistory:
    return LogHistory(
        run_id=page.run_id,
        logs=[entry.record for entry in page.entries],
        total=page.total,
        last_sequence=page.entries[-1].sequence if page.entries else None,
    )


def _markdown(card: ModelCard) -> str:
    return card.markdown


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

DATASETS = (
    Route(
        method="POST",
        path="/api/v1/datasets/upload",
        tag=Tag.DATASETS,
        summary="Upload a data set",
        description="The file goes to the object store as it arrives. A refused upload leaves nothing behind.",
        role="member",
        request=DatasetUpload,
        request_media="multipart/form-data",
        response=Dataset,
        special=Special.UPLOAD_DATASET,
        status=201,
        refusals=registry.REGISTER_DATASET.refusals,
    ),
    asks("GET", "/api/v1/datasets", registry.LIST_DATASETS, tag=Tag.DATASETS, summary="List data sets"),
    asks("GET", "/api/v1/datasets/{dataset_id}", registry.GET_DATASET, tag=Tag.DATASETS, summary="Get a data set"),
    asks(
        "GET",
        "/api/v1/datasets/{dataset_id}/preview",
        registry.PREVIEW_DATASET,
        tag=Tag.DATASETS,
        summary="Preview a data set's first rows",
    ),
)

JOBS = (
    asks(
        "POST",
        "/api/v1/jobs",
        orchestrator.SUBMIT_JOB,
        tag=Tag.JOBS,
        summary="Submit a pipeline job",
        once=True,
        status=201,
        example=_JOB_EXAMPLE,
    ),
    asks("GET", "/api/v1/jobs", orchestrator.LIST_JOBS, tag=Tag.JOBS, summary="List jobs"),
    asks("GET", "/api/v1/jobs/{job_id}", orchestrator.GET_JOB, tag=Tag.JOBS, summary="Get a job's status and results"),
    asks("DELETE", "/api/v1/jobs/{job_id}", orchestrator.CANCEL_JOB, tag=Tag.JOBS, summary="Cancel a job"),
)

MODELS = (
    asks("GET", "/api/v1/models", registry.LIST_MODELS, tag=Tag.MODELS, summary="List trained models"),
    asks("GET", "/api/v1/models/{model_id}", registry.GET_MODEL, tag=Tag.MODELS, summary="Get a model"),
    Route(
        method="GET",
        path="/api/v1/models/{model_id}/download",
        tag=Tag.MODELS,
        summary="Download a model",
        description=(
            "An export of one file is that file, one of several a tar archive, made as it is sent. With `presigned` the"
            " answer is a URL of the object store, as JSON. A download that broke off goes on with `Range` and"
            " `If-Range`."
        ),
        role="viewer",
        request=DownloadModel,
        response=None,
        media="application/octet-stream",
        special=Special.DOWNLOAD_MODEL,
        refusals=registry.GET_DOWNLOAD.refusals,
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}/card",
        registry.GET_MODEL_CARD,
        tag=Tag.MODELS,
        summary="Get a model's card, as Markdown",
        view=View(None, _markdown, "text/markdown"),
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
        view=view(LogHistory, _history),
        omit_absent=True,
    ),
)

PIPELINE = (*DATASETS, *JOBS, *MODELS, *LOGS)
