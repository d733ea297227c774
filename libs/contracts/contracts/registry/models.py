"""Models: what the registry is asked of them and tells."""

from typing import Any

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.pages import PageRequest
from contracts.pipeline import ExportFormat, ModelReference, Name


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
