"""The object store: any S3, through the `minio` client. `Objects` is synchronous; `ObjectStore` runs it in threads."""

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException, S3Error

from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused

PART_SIZE = 8 * 1024 * 1024
_READ_SIZE = 1024 * 1024
_THREADS = 16
_UPLOADS_AT_ONCE = 16
"""Each holds a part of memory for as long as its sender takes."""
_PARTS_AT_ONCE = 4
"""Parts on their way to the store, of all uploads together."""
_CONTENT_TYPE = "application/vnd.llm-platform.data"
"""Of what comes in parts. SeaweedFS tries to compress what is text or just octets, which takes it several times as long
to store and to read again."""

_SHA256 = "sha256"
"""The metadata of an object that says what its content's SHA-256 is."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class S3Path:
    """A place in the object store: a bucket and a key, or a prefix of keys."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, path: str) -> "S3Path":
        """Reads `s3://bucket/key`. Raises ValueError for anything else."""
        scheme, _, rest = path.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket or not key or ".." in key.split("/"):
            raise ValueError(f"not an s3://bucket/key path: {path!r}")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "S3Path":
        return S3Path(self.bucket, f"{self.key.rstrip('/')}/{name}")


@dataclass(frozen=True)
class ObjectInfo:
    """An object as listed; `size` in bytes. `sha256` is told of one asked about alone, if its writer said it."""

    path: S3Path
    size: int
    etag: str
    modified: datetime | None
    sha256: str | None = None


@dataclass(frozen=True)
class Unfinished:
    """An object that is being stored in parts, or was when whoever did so died."""

    path: S3Path
    upload: str
    began: datetime | None


@dataclass(frozen=True)
class Stored:
    """What was written by a streamed upload."""

    size: int
    sha256: str


@contextmanager
def _storage_errors(path: S3Path) -> Iterator[None]:
    """Tells apart what is not there, what the store refused, and a store that is away."""
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchBucket", "NotFound", "NoSuchUpload"):
            raise Refused(RefusalCode.NOT_FOUND, f"There is no object {path}") from error
        raise Refused(RefusalCode.STORAGE_FAILED, f"The object store refused {path}: {error.code}") from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise Refused(
            RefusalCode.STORAGE_FAILED, "The object store is not available at the moment", {"temporary": True}
        ) from error


class Objects:
    """Synchronous access, for threads and worker processes. Safe to share between threads.

    Raises `Refused`: NOT_FOUND, or STORAGE_FAILED with `metadata["temporary"]` when the store is away.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
        parts = urlsplit(endpoint)
        self._client = Minio(
            endpoint=parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=parts.scheme == "https",
            region=region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=60),
                maxsize=16,
                retries=urllib3.Retry(total=4, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
            ),
        )

    @classmethod
    def from_settings(cls, settings: ServiceSettings) -> "Objects":
        return cls(
            settings.s3_endpoint,
            settings.s3_access_key,
            settings.s3_secret_key.get_secret_value(),
            settings.s3_region,
        )

    def put_reader(self, path: S3Path, reader: BinaryIO, size: int = -1, sha256: str | None = None) -> None:
        """Stores what `reader` gives, in parts, so memory stays at a few parts whatever the size."""
        with _storage_errors(path):
            self._client.put_object(
                bucket_name=path.bucket,
                object_name=path.key,
                data=reader,
                length=size,
                part_size=PART_SIZE if size < 0 else 0,
                metadata=None if sha256 is None else {_SHA256: sha256},
            )

    def put_bytes(self, path: S3Path, data: bytes) -> None:
        self.put_reader(path, io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest())

    def put_file(self, path: S3Path, file: Path) -> None:
        with file.open("rb") as reader:
            sha256 = hashlib.file_digest(reader, "sha256").hexdigest()
            reader.seek(0)
            self.put_reader(path, reader, file.stat().st_size, sha256)

    def put_directory(self, prefix: S3Path, directory: Path) -> int:
        """Stores every file under `directory` below `prefix`; returns their size in bytes."""
        size = 0
        for file in sorted(f for f in directory.rglob("*") if f.is_file()):
            self.put_file(prefix / file.relative_to(directory).as_posix(), file)
            size += file.stat().st_size
        return size

    @contextmanager
    def reading(self, path: S3Path, offset: int = 0, length: int = 0) -> Iterator[Iterator[bytes]]:
        """The object's bytes in chunks, from `offset`, `length` bytes (0: to the end)."""
        with _storage_errors(path):
            response = self._client.get_object(
                bucket_name=path.bucket, object_name=path.key, offset=offset, length=length
            )
            try:
                yield cast(Iterator[bytes], response.stream(_READ_SIZE))
            finally:
                response.close()
                response.release_conn()

    def get_bytes(self, path: S3Path) -> bytes:
        with self.reading(path) as chunks:
            return b"".join(chunks)

    def get_file(self, path: S3Path, file: Path) -> None:
        """Fetches into `file`, which appears only when it is whole."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(file.name + ".partial")
        with self.reading(path) as chunks, partial.open("wb") as writer:
            for chunk in chunks:
                writer.write(chunk)
        partial.replace(file)

    def get_directory(self, prefix: S3Path, directory: Path) -> int:
        """Fetches every object below `prefix` into `directory`; how many there were."""
        root = S3Path(prefix.bucket, prefix.key.rstrip("/") + "/")
        count = 0
        for info in self.list(root):
            target = directory / info.path.key[len(root.key) :]
            if not target.resolve().is_relative_to(directory.resolve()):
                raise Refused(RefusalCode.STORAGE_FAILED, f"The object {info.path} has a name that leaves its folder")
            self.get_file(info.path, target)
            count += 1
        return count

    def list(self, prefix: S3Path) -> list[ObjectInfo]:
        """Every object whose key starts with the prefix's key, in order of key."""
        with _storage_errors(prefix):
            return [
                ObjectInfo(S3Path(prefix.bucket, o.object_name), o.size or 0, o.etag or "", o.last_modified)
                for o in self._client.list_objects(bucket_name=prefix.bucket, prefix=prefix.key, recursive=True)
                if o.object_name is not None and not o.is_dir
            ]

    def stat(self, path: S3Path) -> ObjectInfo:
        with _storage_errors(path):
            found = self._client.stat_object(bucket_name=path.bucket, object_name=path.key)
            told = (found.metadata or {}).get(f"x-amz-meta-{_SHA256}")
            return ObjectInfo(path, found.size or 0, found.etag or "", found.last_modified, told)

    # An object in parts: nothing of it can be seen before it is finished. `minio` has these calls for itself alone.

    def begin_parts(self, path: S3Path) -> str:
        """Begins an object that comes in parts; the id of this upload."""
        with _storage_errors(path):
            upload: str = self._client._create_multipart_upload(path.bucket, path.key, {"Content-Type": _CONTENT_TYPE})
            return upload

    def put_part(self, path: S3Path, upload: str, number: int, data: bytes) -> str:
        """Stores part `number`, counted from 1; its entity tag. All parts but the last have at least 5 MiB."""
        with _storage_errors(path):
            headers = {"Content-Type": _CONTENT_TYPE}
            tag: str = self._client._upload_part(path.bucket, path.key, data, headers, upload, number)
            return tag

    def finish_parts(self, path: S3Path, upload: str, tags: Sequence[str]) -> None:
        """Makes the object of its parts, whose entity tags these are."""
        with _storage_errors(path):
            parts = [Part(number, tag) for number, tag in enumerate(tags, 1)]
            self._client._complete_multipart_upload(path.bucket, path.key, upload, parts)

    def drop_parts(self, path: S3Path, upload: str) -> None:
        """Frees the parts of an upload that is given up; one that is not there is fine."""
        try:
            with _storage_errors(path):
                self._client._abort_multipart_upload(path.bucket, path.key, upload)
        except Refused as refused:
            if refused.code is not RefusalCode.NOT_FOUND:
                raise

    def unfinished(self, prefix: S3Path) -> Sequence[Unfinished]:
        """Objects in parts that were begun and neither finished nor dropped, whose keys start with the prefix's key."""
        with _storage_errors(prefix):
            found = self._client._list_multipart_uploads(prefix.bucket, prefix=prefix.key)
            return [
                Unfinished(S3Path(prefix.bucket, one.object_name), one.upload_id, one.initiated_time)
                for one in found.uploads
            ]

    def remove(self, path: S3Path) -> None:
        """Removes the object; one that is not there is fine."""
        with _storage_errors(path):
            self._client.remove_object(bucket_name=path.bucket, object_name=path.key)

    def remove_prefix(self, prefix: S3Path) -> int:
        """Removes every object whose key starts with the prefix's key; how many there were."""
        found = self.list(prefix)
        for info in found:
            self.remove(info.path)
        return len(found)

    def presign_get(self, path: S3Path, expires: timedelta) -> str:
        """A URL that fetches the object without a key until it expires."""
        with _storage_errors(path):
            url: str = self._client.presigned_get_object(bucket_name=path.bucket, object_name=path.key, expires=expires)
            return url

    def ensure_bucket(self, bucket: str) -> None:
        with _storage_errors(S3Path(bucket, "")):
            if not self._client.bucket_exists(bucket_name=bucket):
                self._client.make_bucket(bucket_name=bucket)


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
            upload = _PartsUpload(self, path, self._parts)
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

    async def presign_get(self, path: S3Path, expires: timedelta) -> str:
        return await self._run(self.objects.presign_get, path, expires)


class _PartsUpload:
    """One object that arrives as a stream: cut into parts, several of which are on their way at once."""

    def __init__(self, store: ObjectStore, path: S3Path, at_once: asyncio.Semaphore) -> None:
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
