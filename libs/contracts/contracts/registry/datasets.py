"""Data sets: what the registry is asked of them."""

from typing import Any, Literal

from pydantic import Field

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.orchestrator import JobOfDataset
from contracts.pages import Page, PageRequest
from contracts.pipeline import DatasetFormat, SubmittedModel


class RegisterDataset(Message):
    """An uploaded object to analyse and enter.

    `dataset_id` is made by the uploader, so a repeated call enters it once. A file of a known name is its next version;
    one of the same content as well is the data set that there is: then the answer has another `dataset_id`, and the new
    object is not needed. Without `sha256` it is found out as the object is read.
    """

    dataset_id: str = Field(pattern=r"^ds_[a-z0-9]{8,32}$")
    filename: str = Field(min_length=1, max_length=255)
    format: DatasetFormat | None = None
    s3_path: str
    size_bytes: int = Field(ge=0)
    sha256: str | None = None


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


Compression = Literal["gzip", "zstd"]


class Dataset(Message):
    """A file that was uploaded: version `version` of its name. `size_bytes` and `sha256` are those of the file itself,
    which may be compressed."""

    dataset_id: str
    filename: str
    version: int = 1
    format: DatasetFormat
    compression: Compression | None = None
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
    """Data sets, newest first: all, or those that fit what is given. `search` is a part of the name, in any case."""

    filename: str | None = Field(default=None, max_length=255)
    search: str | None = Field(default=None, max_length=255)
    format: DatasetFormat | None = None
    sha256: str | None = Field(default=None, max_length=64)


class DatasetPage(Page[Dataset]):
    """Data sets, newest first."""


class PreviewDataset(Message):
    """`limit` rows after the first `offset`."""

    dataset_id: str
    limit: int = Field(default=10, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=2**53)


class DatasetPreview(Message):
    dataset_id: str
    samples: list[dict[str, Any]]
    total_rows: int


class CountTokens(Message):
    """By the tokenizer of `base_model`; of the text column, unless another is named."""

    dataset_id: str
    base_model: SubmittedModel
    column: str | None = None


class TokenLengths(Message):
    """Tokens of one column without special tokens: of all its texts together, and of those that are not empty each."""

    tokens: int
    mean: float
    p50: int
    p90: int
    p99: int
    longest: int


class TokenCounts(TokenLengths):
    """Tokens of one column. Of a large data set the first `rows_counted` rows are counted, and `tokens` is what all
    have if they are like those."""

    dataset_id: str
    base_model: str
    column: str
    rows_counted: int
    is_estimate: bool


class DatasetVersion(Message):
    dataset_id: str
    version: int
    created_at: Timestamp


class ModelOfDataset(Message):
    model_id: str
    model_name: str
    run_id: str


class DatasetLineage(Message):
    """What was made of a data set: the newest jobs that read it, and the models. Besides, all versions of its name."""

    dataset_id: str
    filename: str
    version: int
    versions: list[DatasetVersion]
    runs: list[JobOfDataset]
    models: list[ModelOfDataset]


class DeleteDataset(Message):
    """Unless it is forced, a data set stays while a job that goes on or a model needs it."""

    dataset_id: str
    force: bool = False


class DatasetDeleted(Message):
    """`freed_bytes` were taken from the object store."""

    dataset_id: str
    deleted: Literal[True] = True
    freed_bytes: int


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
COUNT_TOKENS = Rpc(
    "registry.v1.datasets.tokens",
    CountTokens,
    TokenCounts,
    refusals=(
        RefusalCode.NOT_FOUND,
        RefusalCode.CONFIG_INVALID,
        RefusalCode.STORAGE_FAILED,
        RefusalCode.DATASET_INVALID,
    ),
    timeout=120.0,
)
GET_DATASET_LINEAGE = Rpc("registry.v1.datasets.lineage", GetDataset, DatasetLineage, refusals=(RefusalCode.NOT_FOUND,))
DELETE_DATASET = Rpc(
    "registry.v1.datasets.delete",
    DeleteDataset,
    DatasetDeleted,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT, RefusalCode.STORAGE_FAILED),
)
