"""The object store for threads and worker processes: calls that block."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException, S3Error

from common.objects.files import attachment, media_type_of
from common.objects.paths import ObjectInfo, S3Path, Unfinished
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused

PART_SIZE = 8 * 1024 * 1024
_READ_SIZE = 1024 * 1024
_CONTENT_TYPE = "application/vnd.llm-platform.data"
"""Of what comes in parts. SeaweedFS tries to compress what is text or just octets, which takes it several times as long
to store and to read again."""

_SHA256 = "sha256"
"""The metadata of an object that says what its content's SHA-256 is."""


@contextmanager
def _storage_errors(path: S3Path) -> Iterator[None]:
    """Tells apart what is not there, what the store refused, and a store that is away.

    Other errors are those of the files of this machine, and stay what they are: the network's come as urllib3's own.
    """
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchBucket", "NotFound", "NoSuchUpload"):
            raise Refused(RefusalCode.NOT_FOUND, f"There is no object {path}") from error
        raise Refused(RefusalCode.STORAGE_FAILED, f"The object store refused {path}: {error.code}") from error
    except (MinioException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise Refused(
            RefusalCode.STORAGE_FAILED, "The object store is not available at the moment", {"temporary": True}
        ) from error


def _chunks(path: S3Path, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    with _storage_errors(path):
        yield from response.stream(_READ_SIZE)


class Objects:
    """Synchronous access, for threads and worker processes. Safe to share between threads.

    Raises `Refused`: NOT_FOUND, or STORAGE_FAILED with `metadata["temporary"]` when the store is away. Raises OSError
    for files of this machine that cannot be read or written.
    """

    def __init__(
        self, endpoint: str, access_key: str, secret_key: str, region: str = "us-east-1", bucket_prefix: str = ""
    ) -> None:
        parts = urlsplit(endpoint)
        self._bucket_prefix = bucket_prefix
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
            settings.s3_bucket_prefix,
        )

    def _bucket(self, path: S3Path) -> str:
        """What the store itself calls the path's bucket: clouds have one space of names for all their customers."""
        return self._bucket_prefix + path.bucket

    def put_reader(self, path: S3Path, reader: BinaryIO, size: int = -1, sha256: str | None = None) -> None:
        """Stores what `reader` gives, in parts, so memory stays at a few parts whatever the size."""
        with _storage_errors(path):
            self._client.put_object(
                bucket_name=self._bucket(path),
                object_name=path.key,
                data=reader,
                length=size,
                content_type=media_type_of(path.key),
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
                bucket_name=self._bucket(path), object_name=path.key, offset=offset, length=length
            )
        try:
            yield _chunks(path, response)
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
                for o in self._client.list_objects(bucket_name=self._bucket(prefix), prefix=prefix.key, recursive=True)
                if o.object_name is not None and not o.is_dir
            ]

    def stat(self, path: S3Path) -> ObjectInfo:
        with _storage_errors(path):
            found = self._client.stat_object(bucket_name=self._bucket(path), object_name=path.key)
            told = (found.metadata or {}).get(f"x-amz-meta-{_SHA256}")
            return ObjectInfo(path, found.size or 0, found.etag or "", found.last_modified, told)

    # An object in parts: nothing of it can be seen before it is finished. `minio` has these calls for itself alone.

    def begin_parts(self, path: S3Path) -> str:
        """Begins an object that comes in parts; the id of this upload."""
        with _storage_errors(path):
            upload: str = self._client._create_multipart_upload(
                self._bucket(path), path.key, {"Content-Type": _CONTENT_TYPE}
            )
            return upload

    def put_part(self, path: S3Path, upload: str, number: int, data: bytes) -> str:
        """Stores part `number`, counted from 1; its entity tag. All parts but the last have at least 5 MiB."""
        with _storage_errors(path):
            headers = {"Content-Type": _CONTENT_TYPE}
            tag: str = self._client._upload_part(self._bucket(path), path.key, data, headers, upload, number)
            return tag

    def finish_parts(self, path: S3Path, upload: str, tags: Sequence[str]) -> None:
        """Makes the object of its parts, whose entity tags these are."""
        with _storage_errors(path):
            parts = [Part(number, tag) for number, tag in enumerate(tags, 1)]
            self._client._complete_multipart_upload(self._bucket(path), path.key, upload, parts)

    def drop_parts(self, path: S3Path, upload: str) -> None:
        """Frees the parts of an upload that is given up; one that is not there is fine."""
        try:
            with _storage_errors(path):
                self._client._abort_multipart_upload(self._bucket(path), path.key, upload)
        except Refused as refused:
            if refused.code is not RefusalCode.NOT_FOUND:
                raise

    def unfinished(self, prefix: S3Path) -> Sequence[Unfinished]:
        """Objects in parts that were begun and neither finished nor dropped, whose keys start with the prefix's key."""
        with _storage_errors(prefix):
            found = self._client._list_multipart_uploads(self._bucket(prefix), prefix=prefix.key)
            return [
                Unfinished(S3Path(prefix.bucket, one.object_name), one.upload_id, one.initiated_time)
                for one in found.uploads
            ]

    def remove(self, path: S3Path) -> None:
        """Removes the object; one that is not there is fine."""
        with _storage_errors(path):
            self._client.remove_object(bucket_name=self._bucket(path), object_name=path.key)

    def remove_prefix(self, prefix: S3Path) -> int:
        """Removes every object whose key starts with the prefix's key; how many there were."""
        found = self.list(prefix)
        for info in found:
            self.remove(info.path)
        return len(found)

    def presign_get(self, path: S3Path, expires: timedelta, name: str) -> str:
        """A URL that fetches the object, as a file of that name, without a key until it expires."""
        told = {
            "response-content-type": media_type_of(name),
            "response-content-disposition": attachment(name),
        }
        with _storage_errors(path):
            url: str = self._client.presigned_get_object(
                bucket_name=self._bucket(path), object_name=path.key, expires=expires, response_headers=told
            )
            return url

    def ensure_bucket(self, bucket: str) -> None:
        root = S3Path(bucket, "")
        with _storage_errors(root):
            if not self._client.bucket_exists(bucket_name=self._bucket(root)):
                self._client.make_bucket(bucket_name=self._bucket(root))
