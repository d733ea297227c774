"""What the headers of tus 1.0 say of uploads that can be resumed."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from contracts.pipeline import DatasetFormat
from gateway.domain.uploads import safe_filename
from gateway.errors import invalid_fields

VERSION = "1.0.0"
EXTENSIONS = ("creation", "expiration", "termination")
CONTENT_TYPE = "application/offset+octet-stream"


@dataclass(frozen=True)
class Wanted:
    """What an upload is said to become; `length` in bytes."""

    length: int
    filename: str
    format: DatasetFormat | None


def wanted(headers: Mapping[str, str]) -> Wanted:
    """Raises `Refused(INVALID)` for headers that do not fit."""
    length = number(headers, "Upload-Length")
    if length == 0:
        raise invalid_fields([("Upload-Length", "an empty file is no data set")])
    metadata = _metadata(headers.get("Upload-Metadata", ""))
    stated = metadata.get("format", "").strip().lower()
    known: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
    found = next((name for name in known if name == stated), None)
    if stated and found is None:
        raise invalid_fields([("Upload-Metadata", f"format must be one of {', '.join(known)}")])
    return Wanted(length, safe_filename(metadata.get("filename", "")), found)


def is_spoken(headers: Mapping[str, str]) -> bool:
    """Whether the caller speaks our version, or says of none that it does: then it knows what it sends."""
    return headers.get("Tus-Resumable", VERSION) == VERSION


def abilities(most_bytes: int) -> dict[str, str]:
    """What `OPTIONS` tells of a server that takes uploads of up to so many bytes."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(most_bytes),
    }


def number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise invalid_fields([(name, "must be a number of bytes")])
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """Pairs of a name and a value in base 64, separated by commas."""
    try:
        pairs = [pair.split() for pair in text.split(",") if pair.strip()]
        return {
            name: base64.b64decode("".join(value), validate=True).decode(errors="replace") for name, *value in pairs
        }
    except ValueError:
        wrong = "must be pairs of a name and a value in base 64"
        raise invalid_fields([("Upload-Metadata", wrong)]) from None
