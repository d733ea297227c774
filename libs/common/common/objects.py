"""The object store: any S3, through the `minio` client. `Objects` is synchronous; `ObjectStore` runs it in threads."""

import asyncio
import hashlib
import io
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
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
from minio.error import MinioException, S3Error

from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused

PART_SIZE = 8 * 1024 * 1024
_READ_SIZE = 1024 * 1024
_QUEUED_CHUNKS = 16
_THREADS = 16
_UPLOADS_AT_ONCE = 16
"""Each holds a thread for as long as its sender takes, and a few parts of memory."""

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
        if error.code in ("NoSuchKey", "NoSuchBucket", "NotFound"):
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


class _Pipe(io.RawIOBase):
    """A reader for the uploading thread, fed chunk by chunk from the event loop; counts and hashes on the way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_QUEUED_CHUNKS)
        self._room = asyncio.Event()
        self._deserted = False
        self._rest = b""
        self._aborted = threading.Event()
        self._hash = hashlib.sha256()
        self.size = 0

    async def feed(self, chunk: bytes | None) -> bool:
        """Waits for room, so a slow store holds back a fast sender; no thread waits. None ends the object.

        False when nobody reads any more.
        """
        while not self._deserted:
            try:
                self._chunks.put_nowait(chunk)
            except queue.Full:
                self._room.clear()
                await self._room.wait()
            else:
                return True
        return False

    def desert(self, _: object = None) -> None:
        """The reader is gone. Called in the event loop."""
        self._deserted = True
        self._room.set()

    def abort(self) -> None:
        self._aborted.set()
        with suppress(queue.Full):
            self._chunks.put_nowait(None)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._aborted.is_set():
            raise OSError("the upload was abandoned")
        if not self._rest:
            chunk = self._chunks.get()
            if chunk is None:
                if self._aborted.is_set():
                    raise OSError("the upload was abandoned")
                self._chunks.put(None)
                return b""
            self._loop.call_soon_threadsafe(self._room.set)
            self._rest = chunk
            self._hash.update(chunk)
            self.size += len(chunk)
        size = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def sha256(self) -> str:
        return self._hash.hexdigest()


class ObjectStore:
    """`Objects` for the event loop: every call runs in a thread."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        # Threads of its own, and others for uploads: a few slow senders hold up nothing else.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")
        self._uploads = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="upload")

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def put_stream(self, path: S3Path, source: AsyncIterable[bytes]) -> Stored:
        """Stores bytes as they arrive, holding a few parts at most. If `source` raises, nothing is stored."""
        loop = asyncio.get_running_loop()
        pipe = _Pipe(loop)
        upload = loop.run_in_executor(self._uploads, self.objects.put_reader, path, cast(BinaryIO, pipe))
        upload.add_done_callback(pipe.desert)
        try:
            async for chunk in source:
                if not await pipe.feed(chunk):
                    break
            whole = await pipe.feed(None)
            await upload
            if not whole:
                raise Refused(RefusalCode.STORAGE_FAILED, "The object store ended the upload early")
        except BaseException:
            pipe.abort()
            with suppress(Exception):
                await asyncio.shield(upload)
            raise
        return Stored(pipe.size, pipe.sha256())

    async def get_stream(self, path: S3Path, offset: int = 0, length: int = 0) -> AsyncGenerator[bytes, None]:
        """The object's bytes in chunks of about 1 MiB. An object that is not there is refused before the first."""
        reading = self.objects.reading(path, offset, length)
        chunks: Any = await self._run(reading.__enter__)
        try:
            while (chunk := await self._run(next, chunks, None)) is not None:
                yield cast(bytes, chunk)
        finally:
            await asyncio.shield(self._run(reading.__exit__, None, None, None))

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
