"""The files of adapters on a disk that engines read: fetched from the object store, within a bounded space."""

import os
import shutil
import time
import uuid
from asyncio import to_thread
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.trained import TrainedModel

_log = get_logger("adapter_files")
_NEEDED = ("adapter_config.json", "adapter_model.safetensors")
_NEEDED_OF_WHOLE = ("config.json",)
_EXECUTABLE = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"))
"""Formats that run code when they are loaded."""
_TEMPLATE = "chat_template.jinja"
_ABANDONED_SECONDS = 3600.0
"""A download that a crashed router has left behind is older than this."""


@dataclass(frozen=True)
class _Folder:
    path: Path
    size: int
    used_at: float


class AdapterFiles:
    """A folder for each adapter, `<directory>/<model_id>`, which appears only when it is whole.

    `directory` must be visible to the engines under the same path. Beyond `capacity` bytes the least recently loaded
    go, but never those that `in_use` names or that were asked for in the last `grace` seconds: an engine may read its
    files again at any time, and another replica on the same volume may be about to load what it has just asked for.
    Those of a model that nobody may ask any more go at once.
    """

    def __init__(
        self,
        objects: ObjectStore,
        directory: Path,
        capacity: int,
        in_use: Callable[[], Collection[str]],
        grace: float,
    ) -> None:
        self._objects = objects
        self._directory = directory
        self._capacity = capacity
        self._in_use = in_use
        self._grace = grace

    async def fetch(self, model: TrainedModel) -> Path:
        """The adapter's folder. Raises `EngineFailure`: STORAGE when it may work later, MODEL_LOAD when never."""
        target = self._directory / model.model_id
        if await to_thread(_touch, target):
            return target
        if model.adapter is None:
            raise EngineFailure(FailureKind.MODEL_LOAD, f"{model.model_id} has no adapter export")
        partial = self._hidden(model.model_id)
        try:
            await self._objects.get_directory(S3Path.parse(model.adapter), partial)
            await to_thread(_complete, partial, target, model)
        except Refused as refused:
            temporary = refused.code is RefusalCode.STORAGE_FAILED
            kind = FailureKind.STORAGE if temporary else FailureKind.MODEL_LOAD
            raise EngineFailure(
                kind, f"The files of {model.model_id} could not be fetched: {refused.message}"
            ) from None
        except OSError as error:
            message = f"The files of {model.model_id} could not be kept: {error.strerror}"
            raise EngineFailure(FailureKind.STORAGE, message) from error
        except ValueError as error:
            raise EngineFailure(FailureKind.MODEL_LOAD, f"{model.model_id}: {error}") from None
        finally:
            await to_thread(shutil.rmtree, partial, ignore_errors=True)
        await to_thread(self._trim, frozenset(self._in_use()))
        return target

    async def remove(self, model_id: str) -> None:
        """Frees what the model's files took. One without files is fine."""
        await to_thread(self._remove, model_id)

    def _remove(self, model_id: str) -> None:
        # Gone at once under its name, so that no engine finds half of it.
        doomed = self._hidden(model_id)
        try:
            (self._directory / model_id).rename(doomed)
        except FileNotFoundError:  # another replica was faster
            return
        shutil.rmtree(doomed, ignore_errors=True)
        _log.info("adapter_files_removed", model_id=model_id)

    def _trim(self, in_use: Collection[str]) -> None:
        """Removes what is least recently used until the rest fits."""
        now = time.time()
        folders = sorted(self._folders(now), key=lambda folder: folder.used_at)
        excess = sum(folder.size for folder in folders) - self._capacity
        for folder in folders:
            if excess <= 0:
                return
            if folder.path.name in in_use or now - folder.used_at < self._grace:
                continue
            self._remove(folder.path.name)
            excess -= folder.size
        if excess > 0:
            _log.warning("adapter_files_over_capacity", bytes_over=excess, in_use=len(in_use))

    def _folders(self, now: float) -> list[_Folder]:
        folders = []
        for path in self._directory.iterdir():
            try:
                used_at = path.stat().st_mtime
                if not path.name.startswith("."):
                    folders.append(_Folder(path, sum(file.stat().st_size for file in path.rglob("*")), used_at))
                elif now - used_at > _ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            except FileNotFoundError:  # removed by another replica in this moment
                continue
        return folders

    def _hidden(self, model_id: str) -> Path:
        return self._directory / f".{model_id}.{uuid.uuid4().hex}"


def _touch(folder: Path) -> bool:
    """Notes that the folder is used; False when there is none."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    return True


def _complete(partial: Path, target: Path, model: TrainedModel) -> None:
    """Checks what was fetched and gives it its name. Raises ValueError."""
    needed = _NEEDED_OF_WHOLE if model.whole else _NEEDED
    missing = [name for name in needed if not (partial / name).is_file()]
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
