"""Data sets: what the registry is asked of them."""

from typing import Any

from pydantic import Field

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.pipeline import DatasetFormat


class RegisterDataset(Message):
    """An uploaded object to analyse and enter.

    `dataset_id` is made by the uploader, so a repeated call enters it once.
    """

    dataset_id: str = Field(pattern=r"^ds_[a-z0-9]{8,32}$")
    filename: str = Field(min_length=1, max_length=255)
    format: DatasetFormat | None = None
    s3_path: str
    size_bytes: int = Field(ge=0)
    sha256: str


class LengthStats(Message):
    """Lengths of the text column, in characters."""

    avg_length: float
    min_length: int
    max_length: int


class LengthBucket(Message):
    """How many texts are that long, in characters; each bucket is twice as wide as the one before."""

    from_length: int
    to_length: int
    rows: int


class DatasetAnalysis(Message):
    """What reading a data set through found out; `stats` and `length_histogram` are of the text column."""

    rows: int
    columns: list[str]
    column_types: dict[str, str]
    text_column: str | None
    stats: LengthStats | None
    length_histogram: list[LengthBucket] = []
    missing: dict[str, int]
    duplicate_rows: int


class Dataset(Message):
    dataset_id: str
    filename: str
    format: DatasetFormat
    size_bytes: int
    sha256: str
    s3_path: str
    rows: int
    columns: list[str]
    analysis: DatasetAnalysis
    created_at: Timestamp


class GetDataset(Message):
    dataset_id: str


class ListDatasets(PageRequest):
    """Data sets, newest first."""


class DatasetPage(Page[Dataset]):
    """Data sets, newest first."""


class PreviewDataset(Message):
    dataset_id: str
    limit: int = Field(default=10, ge=1, le=100)


class DatasetPreview(Message):
    dataset_id: str
    samples: list[dict[str, Any]]
    total_rows: int


REGISTER_DATASET = Rpc(
    "registry.v1.datasets.register",
    RegisterDataset,
    Dataset,
    refusals=(RefusalCode.DATASET_INVALID, RefusalCode.CONFLICT, RefusalCode.STORAGE_FAILED),
    timeout=120.0,
)
GET_DATASET = Rpc("registry.v1.datasets.get", GetDataset, Dataset, refusals=(RefusalCode.NOT_FOUND,))
LIST_DATASETS = Rpc("registry.v1.datasets.list", ListDatasets, DatasetPage)
PREVIEW_DATASET = Rpc(
    "registry.v1.datasets.preview",
    PreviewDataset,
    DatasetPreview,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.STORAGE_FAILED, RefusalCode.DATASET_INVALID),
    timeout=60.0,
)
