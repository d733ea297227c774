"""Brings trained models onto engines: from the object store into the shared directory, then into the engine."""

import asyncio
import shutil
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from llm_router.domain.catalogue import Catalogue, TrainedModel
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.protocol import Engine

_log = get_logger("adapters")
_NEEDED = ("adapter_config.json", "adapter_model.safetensors")
_EXECUTABLE = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"))
"""Formats that run code when they are loaded."""
_TEMPLATE = "chat_template.jinja"

T = TypeVar("T")


class Adapters:
    """Loads each adapter once, however many ask for it at the same time; a caller that leaves stops nobody else.

    `directory` must be visible to the engines under the same path.
    """

    def __init__(self, objects: ObjectStore, catalogue: Catalogue, directory: Path, timeout: float) -> None:
        self._objects = objects
        self._catalogue = catalogue
        self._directory = directory
        self._timeout = timeout
        self._running: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    async def load(self, name: str, engine: Engine, model: TrainedModel) -> None:
        """Makes `model` askable on the engine of that name. Raises `EngineFailure`."""
        await self._once(("load", name, model.model_id), self._load(name, engine, model))

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, name: str, engine: Engine, model: TrainedModel) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                path = await self._once(("fetch", model.model_id), self._fetch(model))
                await engine.load_adapter(model.model_id, path, model.base_model)
        except TimeoutError:
            raise EngineFailure(
                FailureKind.TIMEOUT, f"{model.model_id} was not loaded within {self._timeout:.0f} s", engine=name
            ) from None
        self._catalogue.adapter_loaded(name, model)
        _log.info("adapter_loaded", engine=name, model_id=model.model_id, base_model=model.base_model)

    async def _fetch(self, model: TrainedModel) -> Path:
        """The directory with the adapter's files, which appears only when it is whole."""
        target = self._directory / model.model_id
        if await asyncio.to_thread(target.is_dir):
            return target
        if model.adapter is None:
            raise EngineFailure(FailureKind.MODEL_LOAD, f"{model.model_id} has no adapter export")
        partial = self._directory / f".{model.model_id}.{uuid.uuid4().hex}"
        try:
            await self._objects.get_directory(S3Path.parse(model.adapter), partial)
            await asyncio.to_thread(_complete, partial, target, model)
        except Refused as refused:
            temporary = refused.code is RefusalCode.STORAGE_FAILED
            kind = FailureKind.STORAGE if temporary else FailureKind.MODEL_LOAD
            raise EngineFailure(
                kind, f"The files of {model.model_id} could not be fetched: {refused.message}"
            ) from None
        except ValueError as error:
            raise EngineFailure(FailureKind.MODEL_LOAD, f"{model.model_id}: {error}") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        return target

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


def _complete(partial: Path, target: Path, model: TrainedModel) -> None:
    """Checks what was fetched and gives it its name. Raises ValueError."""
    missing = [name for name in _NEEDED if not (partial / name).is_file()]
    if missing:
        raise ValueError(f"the adapter export lacks {', '.join(missing)}")
    if found := [file.name for file in partial.rglob("*") if file.suffix in _EXECUTABLE]:
        raise ValueError(f"the adapter export holds files that may run code: {', '.join(sorted(found)[:5])}")
    template = partial / _TEMPLATE
    if model.chat_template is not None and not template.exists():
        template.write_text(model.chat_template, encoding="utf-8")
    try:
        partial.rename(target)
    except OSError:
        # Another replica on this volume was faster; its files are the same.
        if not target.is_dir():
            raise
