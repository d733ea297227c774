"""Storing what arrives as a stream, with several parts of it on their way at once."""

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from common.objects.client import PART_SIZE
from common.objects.paths import S3Path, Stored
from contracts.base import Refused

if TYPE_CHECKING:
    from common.objects.store import ObjectStore


class PartsUpload:
    """One object that arrives as a stream: cut into parts, several of which are on their way at once."""

    def __init__(self, store: "ObjectStore", path: S3Path, at_once: asyncio.Semaphore) -> None:
        self._store = store
        self._path = path
        self._at_once = at_once
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._upload: str | None = None
        self._sending: list[asyncio.Task[str]] = []
        self._hashed: asyncio.Task[None] | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    async def add(self, chunk: bytes) -> None:
        """Waits while too much is on its way: a slow store holds back a fast sender. Raises what storing raised."""
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        while self._waiting >= PART_SIZE:
            data = b"".join(self._chunks)
            self._chunks, self._waiting = [data[PART_SIZE:]], len(data) - PART_SIZE
            await self._send(data[:PART_SIZE])

    async def finish(self) -> Stored:
        rest = b"".join(self._chunks)
        if self._upload is None:
            self._digest.update(rest)
            await self._store.put_bytes(self._path, rest)
            return Stored(len(rest), self._digest.hexdigest())
        if rest:
            await self._send(rest)
        tags = await asyncio.gather(*self._sending)
        if self._hashed is not None:
            await self._hashed
        await self._store.finish_parts(self._path, self._upload, tags)
        return Stored(self._size, self._digest.hexdigest())

    async def drop(self) -> None:
        """Takes back what was stored, once nothing is on its way any more: a part that comes later would stay."""
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._upload is not None:
            with suppress(Refused):
                await self._store.drop_parts(self._path, self._upload)

    async def _send(self, part: bytes) -> None:
        if self._upload is None:
            self._upload = await self._store.begin_parts(self._path)
        for task in self._sending:
            if task.done():
                task.result()
        await self._at_once.acquire()
        self._size += len(part)
        self._hashed = asyncio.create_task(self._hash(part, self._hashed))
        self._sending.append(asyncio.create_task(self._put(len(self._sending) + 1, part, self._upload)))

    async def _put(self, number: int, part: bytes, upload: str) -> str:
        try:
            return await self._store.put_part(self._path, upload, number, part)
        finally:
            self._at_once.release()

    async def _hash(self, part: bytes, earlier: "asyncio.Task[None] | None") -> None:
        if earlier is not None:
            await earlier
        await self._store.hash(self._digest, part)
