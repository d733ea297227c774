"""Uploads that can be resumed, by tus 1.0 (https://tus.io/protocols/resumable-upload)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.base import Message, Timestamp
from contracts.pipeline import DatasetFormat

PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """An upload as it is kept; see `migrations/005_uploads.sql`."""

    dataset_id: str
    owner: str
    filename: str
    format: DatasetFormat | None
    length: int
    s3_upload: str | None
    parts: tuple[str, ...]
    tail: str | None
    tail_bytes: int
    fence: int
    status: str
    became: str | None
    refusal: dict[str, Any] | None
    expires_at: datetime

    @property
    def offset(self) -> int:
        """How many bytes are kept."""
        if self.status != "receiving":
            return self.length
        return min(len(self.parts) * PART_BYTES + self.tail_bytes, self.length)


class UploadState(Message):
    """An upload that can be resumed: send what is behind `offset`. `dataset_id` is there once it is a data set."""

    upload_id: str
    filename: str
    length: int
    offset: int
    status: str
    dataset_id: str | None
    error: str | None
    expires_at: Timestamp


def state_of(upload: Upload) -> UploadState:
    return UploadState(
        upload_id=upload.dataset_id,
        filename=upload.filename,
        length=upload.length,
        offset=upload.offset,
        status=upload.status,
        dataset_id=upload.became,
        error=None if upload.refusal is None else str(upload.refusal.get("message")),
        expires_at=upload.expires_at,
    )
