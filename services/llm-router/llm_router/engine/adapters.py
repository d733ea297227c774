"""Brings trained models onto engines: loaded on first use, the least recently used unloaded when there are too many."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from common.telemetry import get_logger
from llm_router.domain.catalogue import Catalogue
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.trained import TrainedModel
from llm_router.engine.adapter_files import AdapterFiles
from llm_router.engine.pool import Member

_log = get_logger("adapters")

T = TypeVar("T")

_REFUSED_SECONDS = 60.0
"""For how long an engine that refused an adapter is not asked again, unless it starts afresh before."""


class Adapters:
    """Loads each adapter once, however many ask for it at the same time; a caller that leaves stops nobody else.

    An engine holds `limit` adapters at most, unless more than that have requests at this moment. `timeout` in seconds
    bounds a load, its download included.
    """

    def __init__(self, files: AdapterFiles, catalogue: Catalogue, limit: int, timeout: float) -> None:
        self._files = files
        self._catalogue = catalogue
        self._limit = limit
        self._timeout = timeout
        self._running: dict[tuple[str, ...], asyncio.Task[Any]] = {}
        self._loading: Counter[str] = Counter()
        """Loads on their way, by engine."""

    async def load(self, member: Member, model: TrainedModel) -> None:
        """Makes `model` askable on the engine. Raises `EngineFailure`, at once where the engine has refused it."""
        if (why := self._catalogue.refusal(member.name, model.model_id)) is not None:
            raise EngineFailure(FailureKind.MODEL_LOAD, why, engine=member.name)
        await self._once(("load", member.name, model.model_id), self._load(member, model))

    async def unload_idle(self, member: Member, model_id: str) -> None:
        """Takes the adapter off the engine, unless a request is being answered by it or this is on its way."""
        key = ("unload", member.name, model_id)
        if key not in self._running and member.adapters.idle([model_id]):
            await self._once(key, self._unload(member, model_id))

    def is_moving(self, model_id: str) -> bool:
        """Whether the adapter is on its way onto an engine or off one."""
        return any(key[0] in ("load", "unload") and key[-1] == model_id for key in self._running)

    async def remove_files(self, model_id: str) -> None:
        """Frees the disk of an adapter that nobody may ask any more."""
        await self._once(("remove", model_id), self._files.remove(model_id))

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, member: Member, model: TrainedModel) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                if (removing := self._running.get(("remove", model.model_id))) is not None:
                    await asyncio.wait([removing])
                path = await self._once(("fetch", model.model_id), self._files.fetch(model))
                if (unloading := self._running.get(("unload", member.name, model.model_id))) is not None:
                    await asyncio.wait([unloading])
                with self._counted(member.name):
                    await self._make_room(member)
                    try:
                        await member.engine.load_adapter(model.model_id, path, model.base_model)
                    except EngineFailure as failure:
                        self._remember(failure, member, model)
                        raise
                    self._catalogue.adapter_loaded(member.name, model)
        except TimeoutError:
            raise EngineFailure(
                FailureKind.TIMEOUT, f"{model.model_id} was not loaded within {self._timeout:.0f} s", engine=member.name
            ) from None
        member.adapters.touch(model.model_id)
        _log.info("adapter_loaded", engine=member.name, model_id=model.model_id, base_model=model.base_model)

    def _remember(self, failure: EngineFailure, member: Member, model: TrainedModel) -> None:
        if failure.kind is FailureKind.MODEL_LOAD:
            self._catalogue.adapter_refused(member.name, model, failure.message)
            over = self._catalogue.refusal_over
            asyncio.get_running_loop().call_later(_REFUSED_SECONDS, over, member.name, model.model_id)

    async def _make_room(self, member: Member) -> None:
        """Unloads idle adapters, least recently used first, until there is room for those that are being loaded."""
        held = self._catalogue.adapters(member.name)
        excess = len(held) + self._loading[member.name] - self._limit
        if excess > 0:
            victims = member.adapters.idle(held)[:excess]
            await asyncio.gather(*(self._once(("unload", member.name, v), self._unload(member, v)) for v in victims))

    async def _unload(self, member: Member, model_id: str) -> None:
        # First, so that no request counts on it, and no second load chooses it too.
        self._catalogue.adapter_lost(member.name, model_id)
        member.adapters.forget(model_id)
        try:
            await member.engine.unload_adapter(model_id)
        except EngineFailure as failure:
            # The next health check lists it again; it is unloaded another time then.
            _log.warning("adapter_not_unloaded", engine=member.name, model_id=model_id, reason=failure.message)
        else:
            _log.info("adapter_unloaded", engine=member.name, model_id=model_id)

    @contextmanager
    def _counted(self, engine: str) -> Iterator[None]:
        self._loading[engine] += 1
        try:
            yield
        finally:
            self._loading[engine] -= 1

    async def _once(self, key: tuple[str, ...], work: Coroutine[object, object, T]) -> T:
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work)
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        else:
            work.close()
        result: T = await asyncio.shield(task)
        return result

    def _finished(self, key: tuple[str, ...], task: "asyncio.Task[Any]") -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            # Everyone who waited may have left; the failure is no news then.
            task.exception()
