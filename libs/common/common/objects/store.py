"""The object store for the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from common.objects.client import Objects
from common.objects.paths import ObjectInfo, S3Path, Stored, Unfinished
from common.objects.uploading import PartsUpload

_THREADS = 16
_UPLOADS_AT_ONCE = 16
"""Each holds a part of memory for as long as its sender takes."""
_PARTS_AT_ONCE = 4
"""Parts on their way to the store, of all uploads together."""

P = ParamSpec("P")
T = TypeVar("T")


class ObjectStore:
    """`Objects` for the event loop: every call runs in a thread."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")
        self._uploads = asyncio.Semaphore(_UPLOADS_AT_ONCE)
        self._parts = asyncio.Semaphore(_PARTS_AT_ONCE)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def put_stream(self, path: S3Path, source: AsyncIterable[bytes]) -> Stored:
        """Stores bytes as they arrive, holding a few parts at most. If `source` raises, nothing is stored."""
        async with self._uploads:
            upload = PartsUpload(self, path, self._parts)
            try:
                async for chunk in source:
                    await upload.add(chunk)
                return await upload.finish()
            except BaseException:
                await asyncio.shield(upload.drop())
                raise

    async def get_stream(self, path: S3Path, offset: int = 0, length: int = 0) -> AsyncGenerator[bytes, None]:
        """The object's bytes in chunks of about 1 MiB. An object that is not there is refused before the first."""
        reading = self.objects.reading(path, offset, length)
        chunks: Any = await self._run(reading.__enter__)
        try:
            while (chunk := await self._run(next, chunks, None)) is not None:
                yield cast(bytes, chunk)
        finally:
            await asyncio.shield(self._run(reading.__exit__, None, None, None))

    async def begin_parts(self, path: S3Path) -> str:
        return await self._run(self.objects.begin_parts, path)

    async def put_part(self, path: S3Path, upload: str, number: int, data: bytes) -> str:
        return await self._run(self.objects.put_part, path, upload, number, data)

    async def finish_parts(self, path: S3Path, upload: str, tags: Sequence[str]) -> None:
        await self._run(self.objects.finish_parts, path, upload, tags)

    async def drop_parts(self, path: S3Path, upload: str) -> None:
        await self._run(self.objects.drop_parts, path, upload)

    async def unfinished(self, prefix: S3Path) -> Sequence[Unfinished]:
        return await self._run(self.objects.unfinished, prefix)

    async def hash(self, digest: "hashlib._Hash", data: bytes) -> None:
        """Adds `data` to a digest, away from the event loop."""
        await self._run(digest.update, data)

    async def put_bytes(self, path: S3Path, data: bytes) -> None:
        await self._run(self.objects.put_bytes, path, data)

    async def put_file(self, path: S3Path, file: Path) -> None:
        await self._run(self.objects.put_file, path, file)

    async def put_directory(self, prefix: S3Path, directory: Path) -> int:
        return await self._run(self.objects.put_directory, prefix, directory)

    async def get_bytes(self, path: S3Path) -> bytes:
        return await self._run(self.objects.get_bytes, path)

    async def get_file(self, path: S3Path, file: Path) -> None:
        await self._run(self.objects.get_file, path, file)

    async def get_directory(self, prefix: S3Path, directory: Path) -> int:
        return await self._run(self.objects.get_directory, prefix, directory)

    async def list(self, prefix: S3Path) -> list[ObjectInfo]:
        return await self._run(self.objects.list, prefix)

    async def stat(self, path: S3Path) -> ObjectInfo:
        return await self._run(self.objects.stat, path)

    async def remove(self, path: S3Path) -> None:
        await self._run(self.objects.remove, path)

    async def remove_prefix(self, prefix: S3Path) -> int:
        return await self._run(self.objects.remove_prefix, prefix)

    async def presign_get(self, path: S3Path, expires: timedelta, name: str) -> str:
        return await self._run(self.objects.presign_get, path, expires, name)
