"""The default provider, engines, and what is set for single models (document B and beyond)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_CONFIG = "/api/v1/llm/config"
_MODELS = "/api/v1/llm/models"
_ENGINES = "/api/v1/llm/engines"


class Config(Family[R]):
    """`client.config`"""

    @operation
    def get(self) -> Steps[answers.Config]:
        """The provider and the model that `default` names."""
        return self._get(_CONFIG, answers.Config)

    @operation
    def update(self, **fields: Unpack[requests.UpdateConfig]) -> Steps[answers.ConfigUpdated]:
        """Changes the given fields. The token is encrypted at rest and never told again."""
        return self._post(_CONFIG, answers.ConfigUpdated, fields)

    @operation
    def models(self) -> Steps[list[answers.ServedModel]]:
        """The models that can be asked."""
        return (yield from self._get(_MODELS, answers.ModelsEnvelope)).data.models

    @operation
    def model(self, name: str) -> Steps[answers.ModelSettings]:
        """What is set for a model."""
        return self._get(at(_MODELS, name, slashes=True) + "/settings", answers.ModelSettings)

    @operation
    def update_model(self, name: str, **fields: Unpack[requests.ModelSettings]) -> Steps[answers.ModelSettings]:
        """Sets it for a model: prices, fallbacks, whether it may be asked."""
        return self._put(at(_MODELS, name, slashes=True) + "/settings", answers.ModelSettings, fields)


class Engines(Family[R]):
    """`client.engines`"""

    @flow
    def list(self, *, limit: int | None = None) -> Flow[answers.Engine]:
        """Engines, and how they are."""
        return self._pages(_ENGINES, answers.EnginePage, lambda page: page.items, limit)

    @operation
    def create(self, **fields: Unpack[requests.CreateEngine]) -> Steps[answers.Engine]:
        """Adds an engine: anything that speaks OpenAI's or KoboldAI's HTTP API."""
        return self._post(_ENGINES, answers.Engine, fields)

    @operation
    def get(self, engine_id: int) -> Steps[answers.Engine]:
        """One engine."""
        return self._get(at(_ENGINES, engine_id), answers.Engine)

    @operation
    def update(self, engine_id: int, **fields: Unpack[requests.UpdateEngine]) -> Steps[answers.Engine]:
        """Changes the given fields."""
        return self._put(at(_ENGINES, engine_id), answers.Engine, fields)

    @operation
    def delete(self, engine_id: int) -> Steps[answers.EngineRemoved]:
        """Removes an engine."""
        return self._delete(at(_ENGINES, engine_id), answers.EngineRemoved)
