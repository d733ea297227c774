"""Rows of document E: data sets and models; jobs and logs are in `routes.jobs`."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from contracts import registry
from contracts.base import Message
from contracts.pipeline import DatasetFormat
from contracts.registry import Dataset, GetDownload, ModelCard
from gateway.routes.jobs import JOBS, LOGS
from gateway.routes.table import Route, Special, Tag, View, asks


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


def _markdown(card: ModelCard) -> str:
    return card.markdown


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

PIPELINE = (*DATASETS, *JOBS, *MODELS, *LOGS)
