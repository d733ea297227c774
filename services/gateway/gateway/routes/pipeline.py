"""Rows of document E: data sets and models; jobs and logs are in `routes.jobs`."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from contracts import registry
from contracts.base import Message
from contracts.pipeline import DatasetFormat
from contracts.registry import Dataset
from gateway.routes.jobs import JOBS, LOGS
from gateway.routes.models import MODELS
from gateway.routes.table import Route, Special, Tag, asks
from gateway.routes.uploads import UPLOADS


class DatasetUpload(Message):
    """The parts of an upload. Without `format` it follows from the file's name and content."""

    file: Annotated[Any, WithJsonSchema({"type": "string", "format": "binary", "title": "File"})]
    format: DatasetFormat | None = None


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
    *UPLOADS,
    asks("GET", "/api/v1/datasets", registry.LIST_DATASETS, tag=Tag.DATASETS, summary="List data sets"),
    asks("GET", "/api/v1/datasets/{dataset_id}", registry.GET_DATASET, tag=Tag.DATASETS, summary="Get a data set"),
    asks(
        "DELETE",
        "/api/v1/datasets/{dataset_id}",
        registry.DELETE_DATASET,
        tag=Tag.DATASETS,
        summary="Delete a data set",
        description="One that a running job or a model needs stays, unless `force` is given. Its objects are freed.",
    ),
    asks(
        "GET",
        "/api/v1/datasets/{dataset_id}/preview",
        registry.PREVIEW_DATASET,
        tag=Tag.DATASETS,
        summary="Preview a data set's rows",
        description="The first rows, or those after the first `offset`.",
    ),
    asks(
        "GET",
        "/api/v1/datasets/{dataset_id}/tokens",
        registry.COUNT_TOKENS,
        tag=Tag.DATASETS,
        summary="Count a data set's tokens with a model's tokenizer",
    ),
    asks(
        "GET",
        "/api/v1/datasets/{dataset_id}/lineage",
        registry.GET_DATASET_LINEAGE,
        tag=Tag.DATASETS,
        summary="Get what was made from a data set",
    ),
)

PIPELINE = (*DATASETS, *JOBS, *MODELS, *LOGS)
