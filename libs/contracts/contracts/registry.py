"""What the registry answers and tells: data sets and models (document E)."""

from typing import Any

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.pipeline import DatasetFormat, ExportFormat, ModelReference, Name

# Data sets


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


class DatasetAnalysis(Message):
    rows: int
    columns: list[str]
    column_types: dict[str, str]
    text_column: str | None
    stats: LengthStats | None
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

# Models


class RegisterModel(Message):
    """A trained model to enter.

    `idempotency_key` is the run and step, so a repeated call returns the model of the first.
    """

    idempotency_key: str = Field(min_length=1, max_length=200)
    run_id: Name
    model_name: Name
    description: str = ""
    base_model: ModelReference
    dataset_id: str | None = None
    training_config: dict[str, Any]
    metrics: dict[str, float]
    exports: dict[ExportFormat, str] = Field(min_length=1)
    chat_template: str | None = None
    """The Jinja chat template whose form the model was trained on; served with it."""


class Model(Message):
    model_id: str
    run_id: str
    model_name: str
    description: str
    base_model: str
    dataset_id: str | None
    training_config: dict[str, Any]
    metrics: dict[str, float]
    exports: dict[ExportFormat, str]
    chat_template: str | None
    created_at: Timestamp


class GetModel(Message):
    """By `model_id`, or by name: the newest model of that name."""

    model_id: str


class ListModels(PageRequest):
    base_model: str | None = None


class ModelSummary(Message):
    model_id: str
    run_id: str
    model_name: str
    base_model: str
    created_at: Timestamp
    metrics: dict[str, float]
    exports: list[ExportFormat]


class ModelPage(Message):
    models: list[ModelSummary]
    total: int
    limit: int
    offset: int
    has_more: bool


class ModelCard(Message):
    model_id: str
    markdown: str


class GetDownload(Message):
    model_id: str
    format: ExportFormat = "adapter"


class ModelFile(Message):
    """One file of an export: `name` inside the archive, `key` in the artifacts bucket, `size` in bytes."""

    name: str
    bucket: str
    key: str
    size: int


class Download(Message):
    model_id: str
    model_name: str
    format: ExportFormat
    files: list[ModelFile]


REGISTER_MODEL = Rpc(
    "registry.v1.models.register", RegisterModel, Model, refusals=(RefusalCode.CONFLICT, RefusalCode.INVALID)
)
GET_MODEL = Rpc("registry.v1.models.get", GetModel, Model, refusals=(RefusalCode.NOT_FOUND,))
LIST_MODELS = Rpc("registry.v1.models.list", ListModels, ModelPage)
GET_MODEL_CARD = Rpc("registry.v1.models.card", GetModel, ModelCard, refusals=(RefusalCode.NOT_FOUND,))
GET_DOWNLOAD = Rpc(
    "registry.v1.models.download",
    GetDownload,
    Download,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.STORAGE_FAILED),
)


class ModelRegistered(EventBody):
    """A model can be served from now on."""

    model_id: str
    model_name: str
    base_model: str
    exports: dict[ExportFormat, str]
    chat_template: str | None = None


MODEL_REGISTERED = Event("events.registry.model.registered", ModelRegistered, stream="EVENTS")
