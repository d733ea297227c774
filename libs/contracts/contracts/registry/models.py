"""Models: what the registry is asked of them and tells."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.pages import PageRequest
from contracts.pipeline import (
    AliasName,
    ExportCheck,
    ExportedFile,
    ExportFormat,
    GgufType,
    ModelReference,
    Name,
    TagName,
)

Deployment = Literal["automatic", "requested", "none"]
"""Whether a model is served: since it was registered, because somebody had it deployed, or not."""

LineageKind = Literal["served", "model", "export", "evaluation", "training", "preprocessing", "dataset", "file"]


class LineageStep(Message):
    """One link between a served model and the rows it was made of; `path` is where its artifact lies."""

    kind: LineageKind
    name: str
    path: str | None = None
    details: dict[str, Any] = {}


class RegisterModel(Message):
    """A trained model to enter.

    `idempotency_key` is the run and step, so a repeated call returns the model of the first. `lineage` goes from what
    was exported back to the data.
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
    tags: list[TagName] = Field(default=[], max_length=50)
    aliases: list[AliasName] = Field(default=[], max_length=10)
    """Aliases that are moved to the model as it is entered."""
    deploy: bool = True
    files: list[ExportedFile] = []
    checks: list[ExportCheck] = []
    lineage: list[LineageStep] = []


class Model(Message):
    """A trained model. `version` counts the models of its name from 1, and is never given twice."""

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
    version: int = 1
    tags: list[str] = []
    aliases: list[str] = []
    deployment: Deployment = "automatic"
    files: list[ExportedFile] = []
    checks: list[ExportCheck] = []


class GetModel(Message):
    """By `model_id`, by name (the newest of that name), or by `name@alias`, `name@version` and `name@latest`."""

    model_id: str


class ListModels(PageRequest):
    """Models, newest first: those that have all that is asked for."""

    base_model: str | None = None
    model_name: str | None = None
    tag: str | None = None
    alias: str | None = None
    dataset_id: str | None = None
    run_id: str | None = None
    format: ExportFormat | None = None
    deployed: bool | None = None


class ModelSummary(Message):
    model_id: str
    run_id: str
    model_name: str
    base_model: str
    created_at: Timestamp
    metrics: dict[str, float]
    exports: list[ExportFormat]
    version: int = 1
    tags: list[str] = []
    aliases: list[str] = []
    deployment: Deployment = "automatic"


class ModelPage(Message):
    models: list[ModelSummary]
    total: int
    limit: int
    offset: int
    has_more: bool


class ModelCard(Message):
    model_id: str
    markdown: str


class LossPlot(Message):
    """The losses of the training, as an SVG image."""

    model_id: str
    svg: str


class GetDownload(Message):
    """`quantization` chooses one of several GGUF files."""

    model_id: str
    format: ExportFormat = "adapter"
    quantization: GgufType | None = None


class ModelFile(Message):
    """One file of an export: `name` inside the archive, `key` in the artifacts bucket, `size` in bytes."""

    name: str
    bucket: str
    key: str
    size: int
    sha256: str | None = None


class Download(Message):
    """The files of an export, in a lasting order."""

    model_id: str
    model_name: str
    format: ExportFormat
    files: list[ModelFile]
    version: int = 1
    created_at: Timestamp = datetime.fromtimestamp(0, UTC)


class UpdateModel(Message):
    """Changes what is said of a model; what is not given stays."""

    model_id: str
    description: str | None = Field(default=None, max_length=10_000)
    tags: list[TagName] | None = Field(default=None, max_length=50)


class DeleteModel(Message):
    """`force` also deletes a model that is served, has an alias, or is to be compared by a job that goes on."""

    model_id: str
    force: bool = False


class ModelDeleted(Message):
    """`freed_bytes` of the object store are free. With `pending` the rest follows within minutes: once the store is
    back, or once jobs that go on with rows or weights of the model's have ended."""

    model_id: str
    freed_bytes: int
    pending: bool


class DeployModel(Message):
    model_id: str


class UndeployModel(Message):
    """`force` also ends serving a model that has aliases, and removes them."""

    model_id: str
    force: bool = False


class ModelDeployment(Message):
    """`names` are those that the model is asked by from now on."""

    model_id: str
    model_name: str
    version: int
    status: Literal["deployed", "undeployed"]
    names: list[str]


class SetAlias(Message):
    """Has the alias name this model, and no other of its name."""

    model_id: str
    alias: AliasName


class RemoveAlias(Message):
    model_id: str
    alias: str


class Alias(Message):
    """`previous` is the model that it named before."""

    model_name: str
    alias: str
    model_id: str | None
    version: int | None
    previous: str | None


class CompareModels(Message):
    model_id: str
    other_id: str


class Difference(Message):
    """A value of two models. Of a metric `change` is the second less the first, and `better` says which one is."""

    name: str
    values: tuple[Any, Any]
    change: float | None = None
    better: str | None = None


class ModelComparison(Message):
    """What sets two models apart; what they share is left out, but metrics are all there."""

    models: tuple[ModelSummary, ModelSummary]
    metrics: list[Difference]
    training_config: list[Difference]
    other: list[Difference]


class ModelLineage(Message):
    """From what is asked for back to the rows, link by link."""

    model_id: str
    steps: list[LineageStep]


class GetServing(Message):
    """What has changed of what is served since revision `after`; 0 asks for everything."""

    after: int = Field(default=0, ge=0)


class ServableModel(Message):
    """A model as the router needs it; `served` is false once it is undeployed or deleted."""

    revision: int
    model_id: str
    model_name: str
    version: int
    base_model: str
    exports: dict[ExportFormat, str]
    chat_template: str | None
    created_at: Timestamp
    served: bool
    wanted: bool
    """Whether somebody had it deployed, so that it should be loaded before it is asked."""


class ServableAlias(Message):
    """`model_id` is None once the alias is removed."""

    revision: int
    model_name: str
    alias: str
    model_id: str | None


class Serving(Message):
    """Changes in the order of their revisions, up to `revision`; with `has_more` ask again from there."""

    revision: int
    models: list[ServableModel]
    aliases: list[ServableAlias]
    has_more: bool


_NOT_FOUND = (RefusalCode.NOT_FOUND,)
_CHANGES = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT, RefusalCode.INVALID)

REGISTER_MODEL = Rpc(
    "registry.v1.models.register", RegisterModel, Model, refusals=(RefusalCode.CONFLICT, RefusalCode.INVALID)
)
GET_MODEL = Rpc("registry.v1.models.get", GetModel, Model, refusals=_NOT_FOUND)
LIST_MODELS = Rpc("registry.v1.models.list", ListModels, ModelPage)
UPDATE_MODEL = Rpc("registry.v1.models.update", UpdateModel, Model, refusals=(*_NOT_FOUND, RefusalCode.INVALID))
DELETE_MODEL = Rpc("registry.v1.models.delete", DeleteModel, ModelDeleted, refusals=_CHANGES, timeout=60.0)
DEPLOY_MODEL = Rpc("registry.v1.models.deploy", DeployModel, ModelDeployment, refusals=_CHANGES)
UNDEPLOY_MODEL = Rpc("registry.v1.models.undeploy", UndeployModel, ModelDeployment, refusals=_CHANGES)
SET_ALIAS = Rpc("registry.v1.models.alias", SetAlias, Alias, refusals=_CHANGES)
REMOVE_ALIAS = Rpc("registry.v1.models.unalias", RemoveAlias, Alias, refusals=_NOT_FOUND)
COMPARE_MODELS = Rpc("registry.v1.models.compare", CompareModels, ModelComparison, refusals=_NOT_FOUND)
GET_LINEAGE = Rpc("registry.v1.models.lineage", GetModel, ModelLineage, refusals=_NOT_FOUND)
GET_MODEL_CARD = Rpc("registry.v1.models.card", GetModel, ModelCard, refusals=_NOT_FOUND)
GET_LOSS_PLOT = Rpc("registry.v1.models.plot", GetModel, LossPlot, refusals=_NOT_FOUND)
GET_DOWNLOAD = Rpc(
    "registry.v1.models.download",
    GetDownload,
    Download,
    refusals=(RefusalCode.NOT_FOUND, RefusalCode.STORAGE_FAILED),
)
GET_SERVING = Rpc("registry.v1.serving.get", GetServing, Serving)


class ModelRegistered(EventBody):
    """A model was entered."""

    model_id: str
    model_name: str
    base_model: str
    exports: dict[ExportFormat, str]
    chat_template: str | None = None


class ServingChanged(EventBody):
    """A model or an alias is served, is not any more, or is another."""

    revision: int


MODEL_REGISTERED = Event("events.registry.model.registered", ModelRegistered, stream="EVENTS")
SERVING_CHANGED = Event("events.registry.serving.changed", ServingChanged, stream="EVENTS")
