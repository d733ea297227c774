"""Keeps up with the registry: which trained models are served, and where aliases lead."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from common.bus import Bus
from common.telemetry import get_logger
from contracts.registry import GET_SERVING, GetServing, ServableAlias, ServableModel
from llm_router.domain.catalogue import Catalogue
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.trained import TrainedModel
from llm_router.engine.adapters import Adapters
from llm_router.engine.pool import EnginePool

_log = get_logger("serving")
_PATIENCE = 0.5
_TIMEOUT = 3.0
_AGAIN_SECONDS = 2.0
"""Between two attempts to load what an alias shall lead to."""
_LOOK_SECONDS = 0.5
"""Between two looks at whether an engine lists something that is served no more."""


class Serving:
    """Applies the registry's changes to the catalogue, in their order and each once, whoever calls and how often.

    An alias that moves from one model to another does so once the other is loaded; until then the one goes on
    answering, so that no request waits for it or fails.
    """

    def __init__(self, bus: Bus, catalogue: Catalogue, pool: EnginePool, adapters: Adapters) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._pool = pool
        self._adapters = adapters
        self.revision = 0
        """That of the registry up to which everything is known."""
        self._is_whole = False
        self._turn = asyncio.Lock()
        self._asked = 0
        """How many times the registry was asked since the start."""
        self._moving: dict[tuple[str, str], str] = {}
        """Where aliases shall lead once the model is loaded."""
        self._leaving: dict[str, float] = {}
        """What is served no more and perhaps still on the disk, and since when no engine may have listed it."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def catch_up(self) -> None:
        """Knows afterwards what the registry knew when this was called. Raises `Refused` when it does not answer."""
        asked = self._asked
        async with self._turn:
            if self._asked > asked:
                return  # who had the turn before asked after this was called
            more = True
            while more:
                self._asked += 1
                request = GetServing(after=self.revision)
                page = await self._bus.ask(GET_SERVING, request, timeout=_TIMEOUT, patience=_PATIENCE)
                for model in page.models:
                    self._apply(model)
                for alias in page.aliases:
                    self._apply_alias(alias)
                self.revision, more = page.revision, page.has_more
            self._is_whole = True

    async def let_go(self) -> None:
        """Takes what is served no more off every engine, once what is being answered by it has ended, and then off the
        disk. Until cancelled.

        An engine that is down is not waited for: what it still holds is taken off when it is back.
        """
        while True:
            self._unload_withdrawn()
            self._remove_unloaded()
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _apply(self, model: ServableModel) -> None:
        whole = "adapter" not in model.exports
        files = model.exports.get("merged" if whole else "adapter")
        if files is None:
            return
        if not model.served:
            self._withdraw(model.model_id)
            return
        self._catalogue.put_trained(
            TrainedModel(
                model.model_id,
                model.model_name,
                model.base_model,
                model.created_at,
                files,
                model.chat_template,
                model.version,
                whole,
            )
        )
        if self._is_whole:
            _log.info("model_served", model_id=model.model_id, model=model.model_name, base_model=model.base_model)
            if model.wanted:
                self._spawn(self._try_to_load(model.model_id))

    def _withdraw(self, model_id: str) -> None:
        was_served = self._catalogue.trained(model_id) is not None
        self._catalogue.withdraw_trained(model_id)
        # What an alias was about to leave is gone, so there is nothing to wait for.
        for (name, alias), target in list(self._moving.items()):
            if self._catalogue.alias(name, alias) == model_id:
                self._lead(name, alias, target)
        if was_served:
            _log.info("model_withdrawn", model_id=model_id)
        # Also one that was withdrawn while this replica was away: its files may be here.
        self._leaving[model_id] = time.monotonic()

    def _apply_alias(self, told: ServableAlias) -> None:
        key, target = (told.model_name, told.alias), told.model_id
        current = self._catalogue.alias(*key)
        if target is None or current is None or self._catalogue.trained(current) is None:
            self._lead(*key, target)
        elif target == current:
            self._moving.pop(key, None)
        elif self._moving.get(key) != target:
            self._moving[key] = target
            self._spawn(self._move(key, target))

    def _lead(self, name: str, alias: str, target: str | None) -> None:
        self._moving.pop((name, alias), None)
        self._catalogue.put_alias(name, alias, target)
        _log.info("alias_moved", model=name, alias=alias, model_id=target)

    async def _move(self, key: tuple[str, str], target: str) -> None:
        while self._moving.get(key) == target:
            if await self._try_to_load(target):
                if self._moving.get(key) == target:
                    self._lead(*key, target)
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _try_to_load(self, model_id: str) -> bool:
        """Brings the model onto the engine that suits it best; whether it is there."""
        try:
            await self._load(model_id)
        except EngineFailure as failure:
            _log.warning("model_not_loaded", model_id=model_id, reason=failure.message)
            return False
        return True

    async def _load(self, model_id: str) -> None:
        route = self._catalogue.resolve(model_id)
        if route is None or route.adapter is None:
            raise EngineFailure(FailureKind.MODEL_NOT_FOUND, f"{model_id} is not served")
        member = self._pool.best(route)
        if member is None:
            raise EngineFailure(FailureKind.CONNECTION, f"No engine can load {model_id} now")
        if not self._catalogue.holds(member.name, model_id):
            await self._adapters.load(member, route.adapter)

    def _unload_withdrawn(self) -> None:
        now = time.monotonic()
        for member in [member for member in self._pool.members() if member.up and member.spec.takes_adapters]:
            for model_id in self._catalogue.adapters(member.name):
                if self._catalogue.trained(model_id) is None:
                    self._leaving[model_id] = now
                    self._spawn(self._adapters.unload_idle(member, model_id))

    def _remove_unloaded(self) -> None:
        now, heard_at = time.monotonic(), self._pool.heard_at()
        for model_id, since in list(self._leaving.items()):
            if self._adapters.is_moving(model_id):
                self._leaving[model_id] = now
            elif since < heard_at:
                del self._leaving[model_id]
                self._spawn(self._remove_files(model_id))

    async def _remove_files(self, model_id: str) -> None:
        if self._catalogue.trained(model_id) is None:
            await self._adapters.remove_files(model_id)

    def _spawn(self, work: Coroutine[Any, Any, None] | Coroutine[Any, Any, bool]) -> None:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("serving_task_crashed", error=repr(error))
