"""Finds where a name leads, asking engines and the registry about a name that is not known yet."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

from contracts.base import RefusalCode, Refused
from contracts.instances import InstanceConfig, port_of
from contracts.router import DEFAULT_MODEL
from llm_router.domain.catalogue import Catalogue, Route
from llm_router.domain.configuration import Default, Selection, default_of
from llm_router.domain.failures import EngineFailure, FailureKind, model_disabled, model_not_found
from llm_router.domain.model_settings import ModelSettings
from llm_router.engine.pool import EnginePool
from llm_router.engine.serving import Serving

_MISS_SECONDS = 1.0
_MOST_MISSES = 10_000


class Models:
    """What names mean now. `selection` and `settings` of models are what this replica has read last."""

    def __init__(self, catalogue: Catalogue, pool: EnginePool, serving: Serving) -> None:
        self._catalogue = catalogue
        self._pool = pool
        self._serving = serving
        self._misses: dict[str, float] = {}
        self.selection = Selection()
        self.settings: Mapping[str, ModelSettings] = {}
        self.configs: Mapping[int, InstanceConfig] = {}
        """What is said of instances, by port."""

    def fallbacks(self, name: str) -> tuple[str, ...]:
        """The models to ask when the one of that name cannot answer."""
        if name == DEFAULT_MODEL and name not in self.settings and (default := self.default()) is not None:
            name = default.model
        known = self.settings.get(name)
        return known.fallbacks if known is not None else ()

    def default(self) -> Default | None:
        """The engine and model that answer when a request names none."""
        specs = self._pool.specs()
        listed = {spec.name: [card.name for card in self._catalogue.cards(spec.name)] for spec in specs}
        return default_of(self.selection, specs, listed)

    async def route(self, name: str) -> Route:
        """Where `name` leads. Raises `EngineFailure`: MODEL_NOT_FOUND with what there is instead, MODEL_DISABLED."""
        if (at := port_of(name)) is not None:
            return await self._route_to(*at)
        if not self.is_enabled(name):
            raise model_disabled(name)
        route = self._catalogue.resolve(name)
        if route is None and name == DEFAULT_MODEL:
            return await self._default_route()
        if route is None:
            route = await self._look_up(name)
        if route is None:
            raise model_not_found(name, self._catalogue.names())
        if not self.is_enabled(route.model):
            raise model_disabled(name)
        return route

    def is_enabled(self, name: str) -> bool:
        """Whether an administrator lets the model be asked."""
        known = self.settings.get(name)
        return known is None or known.enabled

    async def _route_to(self, port: int, model: str | None) -> Route:
        """The instance on the port alone: its first model, or the one that is named."""
        spec = next((spec for spec in self._pool.specs() if spec.port == port), None)
        if spec is None:
            raise EngineFailure(FailureKind.MODEL_NOT_FOUND, f"No LLM instance is available on port {port}")
        if model is None:
            cards = self._catalogue.cards(spec.name)
            if not cards:
                raise EngineFailure(FailureKind.CONNECTION, f"The LLM instance on port {port} serves no model now")
            model = cards[0].name
        route = await self.route(model)
        if spec.name not in route.engines:
            message = f"The LLM instance on port {port} does not serve {model!r}"
            raise EngineFailure(FailureKind.MODEL_NOT_FOUND, message)
        return replace(route, engines=(spec.name,))

    async def _default_route(self) -> Route:
        default = self.default()
        if default is None or not default.model:
            raise model_not_found(DEFAULT_MODEL, self._catalogue.names())
        route = await self.route(default.model)
        if default.pinned and default.engine.name in route.engines:
            return replace(route, engines=(default.engine.name,))
        return route

    async def _look_up(self, name: str) -> Route | None:
        if time.monotonic() - self._misses.get(name, -_MISS_SECONDS) < _MISS_SECONDS:
            return None
        try:
            await asyncio.gather(self._pool.refresh(), self._serving.catch_up())
        except Refused as refused:
            if refused.code not in (RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT):
                raise
            raise EngineFailure(
                FailureKind.CONNECTION, f"The registry cannot be asked for {name!r} at the moment", retry_after=1.0
            ) from None
        if (route := self._catalogue.resolve(name)) is None:
            if len(self._misses) >= _MOST_MISSES:
                self._misses.clear()
            self._misses[name] = time.monotonic()
        return route
