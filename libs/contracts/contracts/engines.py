"""Engines behind the router, kept at run time, and what an administrator says about single models."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.router import AuthToken, Prices, ProviderType

EVERY_MODEL = "*"
"""Stands for all models of an engine in its prices."""

EngineName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
ModelName = Annotated[str, Field(min_length=1, max_length=300)]


class Engine(Message):
    """An LLM instance behind the router. Never carries its token; `has_token` says whether there is one.

    `source` says who has set it up: the environment declares it, `POST /api/v1/llm/config` describes it, or it was
    registered at run time. What was said there is changed there; `enabled`, `timeout`, `weight` and `prices`, and the
    token of a declared one, are changed here whoever set it up. `timeout` in seconds bounds one attempt up to its first
    token, or its whole answer where it is not streamed. Of engines with room, those of the highest `priority` are
    taken, and of those the one with the least to do for its `weight`. `prices` are by model, `*` for all others.
    """

    id: int
    name: str
    provider_type: ProviderType
    api_base: str
    port: int | None
    status: Literal["available", "unavailable", "disabled"]
    models: list[str]
    outstanding: int
    last_used: Timestamp | None
    has_token: bool
    source: Literal["environment", "configuration", "registered"]
    enabled: bool
    concurrency: int
    timeout: float | None
    priority: int
    weight: float
    prices: dict[str, Prices]


class ListEngines(PageRequest):
    limit: int = Field(default=100, ge=1, le=1000)


class EnginePage(Page[Engine]):
    """Engines, oldest first."""


class GetEngine(Message):
    engine_id: int = Field(ge=1, le=2**31 - 1)


class CreateEngine(Message):
    """Registers an engine. `models` are served whether or not the engine lists them.

    Without `api_base` a hosted provider's own is taken; without `concurrency` what suits the type.
    """

    name: EngineName
    provider_type: ProviderType
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    port: int | None = Field(default=None, ge=1, le=65535)
    auth_token: AuthToken | None = Field(default=None, min_length=1)
    concurrency: int | None = Field(default=None, ge=1, le=100_000)
    timeout: float | None = Field(default=None, gt=0, le=3600)
    enabled: bool = True
    priority: int = Field(default=0, ge=-1000, le=1000)
    weight: float = Field(default=1.0, gt=0, le=1000)
    models: list[ModelName] = Field(default=[], max_length=200)
    prices: dict[ModelName, Prices] = Field(default={}, max_length=200)


class UpdateEngine(Message):
    """Changes the given fields. An empty `auth_token` takes the token away, a `port` or `timeout` of 0 that one.

    A token that was stored for one host is never sent to another: with a new host it has to be given again.
    """

    engine_id: int = Field(ge=1, le=2**31 - 1)
    name: EngineName | None = None
    provider_type: ProviderType | None = None
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    port: int | None = Field(default=None, ge=0, le=65535)
    auth_token: AuthToken | None = None
    concurrency: int | None = Field(default=None, ge=1, le=100_000)
    timeout: float | None = Field(default=None, ge=0, le=3600)
    enabled: bool | None = None
    priority: int | None = Field(default=None, ge=-1000, le=1000)
    weight: float | None = Field(default=None, gt=0, le=1000)
    models: list[ModelName] | None = Field(default=None, max_length=200)
    prices: dict[ModelName, Prices] | None = Field(default=None, max_length=200)

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateEngine":
        if all(value is None for name, value in self if name != "engine_id"):
            raise ValueError("name at least one field to change")
        return self


class EngineRemoved(Message):
    """What it was working on ends normally."""

    id: int
    name: str


LIST_ENGINES = Rpc("router.v1.engines.list", ListEngines, EnginePage)
GET_ENGINE = Rpc("router.v1.engines.get", GetEngine, Engine, refusals=(RefusalCode.NOT_FOUND,))
CREATE_ENGINE = Rpc(
    "router.v1.engines.create",
    CreateEngine,
    Engine,
    refusals=(RefusalCode.INVALID, RefusalCode.FORBIDDEN, RefusalCode.CONFLICT),
)
UPDATE_ENGINE = Rpc(
    "router.v1.engines.update",
    UpdateEngine,
    Engine,
    refusals=(RefusalCode.INVALID, RefusalCode.FORBIDDEN, RefusalCode.NOT_FOUND, RefusalCode.CONFLICT),
)
DELETE_ENGINE = Rpc(
    "router.v1.engines.delete",
    GetEngine,
    EngineRemoved,
    refusals=(RefusalCode.FORBIDDEN, RefusalCode.NOT_FOUND, RefusalCode.CONFLICT),
)


# What is said about single models


class ModelSettings(Message):
    """Of the model that is asked for by this name. `fallbacks` are asked in this order when it cannot answer.

    One that is not `enabled` is not asked, only its fallbacks are; under the id of a trained model that holds for its
    name too. `prices` stand over what engines say of all their models and over the providers' lists, and an engine's
    price for this very model over them. `context_size` in tokens and `capabilities` replace what the engines and the
    price list say. Null leaves each to what is known.
    """

    model: ModelName
    enabled: bool = True
    prices: Prices | None = None
    fallbacks: list[ModelName] = Field(default=[], max_length=20)
    context_size: int | None = Field(default=None, ge=1, le=2**31 - 1)
    capabilities: list[Annotated[str, Field(min_length=1, max_length=50)]] | None = Field(default=None, max_length=50)


class NamedModel(Message):
    model: ModelName


GET_MODEL_SETTINGS = Rpc("router.v1.model_settings.get", NamedModel, ModelSettings)
PUT_MODEL_SETTINGS = Rpc(
    "router.v1.model_settings.put",
    ModelSettings,
    ModelSettings,
    refusals=(RefusalCode.INVALID, RefusalCode.FORBIDDEN),
)
