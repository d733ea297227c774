"""Where objects are, and what is known of them."""

from dataclasses import dataclass
from datetime import datetime


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
