"""Uploads that can be resumed: their bytes go to the object store part by part, and what is stored is noted at once.

Whatever dies, and whenever: what was noted is there, and the sender goes on behind it. Parts begin at multiples of
their size, so one that is stored again is the same one. An upload that nobody finishes is freed when it expires.
"""

import asyncio
from collections.abc import AsyncIterable

from common.bus import Bus
from common.database import Database
from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.registry import REGISTER_DATASET, Dataset, RegisterDataset
from contracts.topology import DATASETS_BUCKET
from gateway.domain.resumable import PART_BYTES, Upload
from gateway.store import uploads

_log = get_logger("uploading")
_IN_DOUBT = (RefusalCode.TIMEOUT, RefusalCode.UNAVAILABLE, RefusalCode.INTERNAL)
_AT_ONCE = 16
"""Each holds a part of memory for as long as its sender takes; others wait."""
_PAUSE_SECONDS = 30.0
_UNSETTLED_SECONDS = 180.0
"""Longer than the registry may take, so that nothing is taken over from a gateway that still waits for it."""


class Uploading:
    """Shared by the requests that send bytes, and by the loop that finishes and frees what they leave behind."""

    def __init__(self, database: Database, objects: ObjectStore, bus: Bus) -> None:
        self._database = database
        self._objects = objects
        self._bus = bus
        self._sending = asyncio.Semaphore(_AT_ONCE)

    async def append(self, upload: Upload, chunks: AsyncIterable[bytes]) -> int:
        """Stores what comes behind the upload's offset; how many bytes of the file are there then.

        Raises `Refused`: CONFLICT when another request for it goes on, TOO_LARGE for more bytes than were announced.
        """
        async with self._sending:
            return await self._append(upload, chunks)

    async def enter(self, upload: Upload) -> Dataset:
        """Has the registry enter a stored upload. Raises its refusal; then the object is gone."""
        path = _path(upload)
        request = RegisterDataset(
            dataset_id=upload.dataset_id,
            filename=upload.filename,
            format=upload.format,
            s3_path=str(path),
            size_bytes=upload.length,
        )
        try:
            dataset = await self._bus.ask(REGISTER_DATASET, request)
        except Refused as refusal:
            if refusal.code not in _IN_DOUBT:
                await self._objects.remove(path)
                await self._settle(upload, None, refusal)
            raise
        if dataset.dataset_id != upload.dataset_id:
            await self._objects.remove(path)
        await self._settle(upload, dataset.dataset_id, None)
        return dataset

    async def drop(self, upload: Upload) -> None:
        """Frees an upload that was given up, whatever of it there is."""
        async with self._database.connection() as connection:
            await uploads.end(connection, upload.dataset_id)
        await self._free(upload)

    async def run(self) -> None:
        """Finishes what a dead gateway left unfinished, and frees what has expired. Until cancelled."""
        while True:
            try:
                await self.sweep()
            except Refused as refused:
                _log.warning("uploads_wait", error=refused.message)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def sweep(self, unsettled_seconds: float = _UNSETTLED_SECONDS) -> None:
        async with self._database.connection() as connection:
            unsettled = await uploads.unsettled(connection, PART_BYTES, unsettled_seconds)
            expired = await uploads.expired(connection)
        for upload in unsettled:
            try:
                if upload.status == "receiving":
                    await self._finish(upload, len(upload.parts), b"")
                await self.enter(upload)
            except Refused as refused:
                _log.info("upload_not_entered", dataset_id=upload.dataset_id, error=refused.message)
        for upload in expired:
            try:
                await self._free(upload)
            except Refused as refused:
                _log.warning("upload_not_freed", dataset_id=upload.dataset_id, error=refused.message)

    async def _append(self, upload: Upload, chunks: AsyncIterable[bytes]) -> int:
        part = await self._tail(upload)
        count, offset = len(upload.parts), upload.offset
        async for chunk in chunks:
            part += chunk
            offset += len(chunk)
            if offset > upload.length:
                raise Refused(RefusalCode.TOO_LARGE, f"The upload was announced with {upload.length} bytes")
            while len(part) >= PART_BYTES:
                count += 1
                upload = await self._put(upload, count, bytes(part[:PART_BYTES]))
                part = part[PART_BYTES:]
        if offset == upload.length:
            await self._finish(upload, count, bytes(part))
        elif part:
            await self._keep_tail(upload, bytes(part))
        return offset

    async def _free(self, upload: Upload) -> None:
        path = _path(upload)
        for one in await self._objects.unfinished(path):
            await self._objects.drop_parts(one.path, one.upload)
        await self._objects.remove_prefix(_tails(upload))
        if upload.status == "receiving":
            await self._objects.remove(path)
        async with self._database.connection() as connection:
            await uploads.forget(connection, upload.dataset_id)

    async def _tail(self, upload: Upload) -> bytearray:
        """What came behind the last whole part."""
        return bytearray(b"" if upload.tail is None else await self._objects.get_bytes(_tails(upload, upload.tail)))

    async def _keep_tail(self, upload: Upload, data: bytes) -> None:
        name = str(upload.fence)
        await self._objects.put_bytes(_tails(upload, name), data)
        async with self._database.connection() as connection:
            _check(await uploads.set_tail(connection, upload, name, len(data)))

    async def _put(self, upload: Upload, number: int, data: bytes) -> Upload:
        path = _path(upload)
        if upload.s3_upload is None:
            s3_upload = await self._objects.begin_parts(path)
            async with self._database.connection() as connection:
                _check(await uploads.began(connection, upload, s3_upload))
                upload = await self._again(upload)
        assert upload.s3_upload is not None  # noqa: S101 - just begun
        tag = await self._objects.put_part(path, upload.s3_upload, number, data)
        async with self._database.connection() as connection:
            _check(await uploads.add_part(connection, upload, tag))
        return await self._again(upload)

    async def _again(self, upload: Upload) -> Upload:
        async with self._database.connection() as connection:
            found = await uploads.find(connection, upload.dataset_id)
        if found is None or found.fence != upload.fence:
            _check(False)
        assert found is not None  # noqa: S101 - checked
        return found

    async def _finish(self, upload: Upload, count: int, rest: bytes) -> None:
        path = _path(upload)
        if upload.s3_upload is None:
            await self._objects.put_bytes(path, rest)
        else:
            if rest:
                upload = await self._put(upload, count + 1, rest)
            assert upload.s3_upload is not None  # noqa: S101 - it has parts
            await self._make_whole(upload, upload.s3_upload)
        async with self._database.connection() as connection:
            _check(await uploads.stored(connection, upload))
        await self._objects.remove_prefix(_tails(upload))

    async def _make_whole(self, upload: Upload, s3_upload: str) -> None:
        path = _path(upload)
        try:
            await self._objects.finish_parts(path, s3_upload, upload.parts)
        except Refused as refused:
            # Whoever died behind this call had already done it.
            if refused.code is not RefusalCode.NOT_FOUND or (await self._objects.stat(path)).size != upload.length:
                raise

    async def _settle(self, upload: Upload, became: str | None, refusal: Refused | None) -> None:
        async with self._database.connection() as connection:
            told = None if refusal is None else refusal.body().model_dump(mode="json")
            await uploads.settle(connection, upload.dataset_id, became, told)


def _path(upload: Upload) -> S3Path:
    return S3Path(DATASETS_BUCKET, f"{upload.dataset_id}/{upload.filename}")


def _tails(upload: Upload, name: str = "") -> S3Path:
    """Apart from the data sets, among which the registry removes what it does not know."""
    return S3Path(DATASETS_BUCKET, f"uploads/{upload.dataset_id}/{name}")


def _check(holds: bool) -> None:
    if not holds:
        raise Refused(RefusalCode.CONFLICT, "Another request goes on with this upload, or it has ended")
