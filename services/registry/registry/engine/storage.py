"""The object store as the registry uses it: files of exports, and uploads that no one entered."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from common.objects import ObjectInfo, ObjectStore, S3Path
from contracts.registry import ModelFile
from contracts.topology import DATASETS_BUCKET
from registry.domain.uploads import UPLOAD_PREFIX, Upload


class Storage(Protocol):
    """Raises `Refused(STORAGE_FAILED)` when the store is away."""

    async def files_of(self, export: str) -> list[ModelFile]:
        """The files of an export, which is one object or a folder of them; none when there is nothing."""

    async def files_below(self, folder: str) -> list[ModelFile]:
        """All that lies in the folder or below it."""

    async def remove_files(self, files: Iterable[ModelFile]) -> None:
        """Those that are gone are fine."""

    async def uploads(self) -> list[Upload]:
        """Everything that was ever uploaded as a data set and is still there."""

    async def remove(self, upload: Upload) -> None:
        """Removes it; one that is gone is fine."""

    async def drop_unfinished(self, below: S3Path, before: datetime) -> int:
        """Frees what began before then to be stored in parts and was never finished; how many there were."""


class ObjectStorage:
    """`Storage` on S3."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def files_of(self, export: str) -> list[ModelFile]:
        path = S3Path.parse(export.rstrip("/"))
        return [_file(info, path) for info in await self._objects.list(path) if _belongs(info, path)]

    async def files_below(self, folder: str) -> list[ModelFile]:
        path = S3Path.parse(folder.rstrip("/"))
        return [_file(info, path) for info in await self._objects.list(path / "")]

    async def remove_files(self, files: Iterable[ModelFile]) -> None:
        # No more at once than the store has threads.
        await asyncio.gather(*(self._objects.remove(S3Path(file.bucket, file.key)) for file in files))

    async def uploads(self) -> list[Upload]:
        found = await self._objects.list(S3Path(DATASETS_BUCKET, UPLOAD_PREFIX))
        return [Upload(info.path.key, info.modified) for info in found if info.modified is not None]

    async def remove(self, upload: Upload) -> None:
        await self._objects.remove(S3Path(DATASETS_BUCKET, upload.key))

    async def drop_unfinished(self, below: S3Path, before: datetime) -> int:
        found = await self._objects.unfinished(below)
        old = [one for one in found if one.began is not None and one.began < before]
        for one in old:
            await self._objects.drop_parts(one.path, one.upload)
        return len(old)


def _belongs(info: ObjectInfo, path: S3Path) -> bool:
    # A prefix matches neighbours too: `adapter` is also the beginning of `adapter-2/weights`.
    return info.path.key == path.key or info.path.key.startswith(f"{path.key}/")


def _file(info: ObjectInfo, path: S3Path) -> ModelFile:
    name = info.path.key.removeprefix(path.key).lstrip("/") or path.key.rsplit("/", 1)[-1]
    return ModelFile(name=name, bucket=info.path.bucket, key=info.path.key, size=info.size)
