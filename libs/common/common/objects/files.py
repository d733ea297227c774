"""Objects as files that people save: of which media type they are, and under which name."""

import re
from pathlib import PurePosixPath
from urllib.parse import quote

_OCTETS = "application/octet-stream"
_MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".jinja": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain; charset=utf-8",
}
"""Of the files that this platform makes. Not from the system's own table, which differs from machine to machine."""


def media_type_of(name: str) -> str:
    """The media type of a file of that name: weights, and what else no type is registered for, are just octets."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), _OCTETS)


def attachment(name: str) -> str:
    """The `Content-Disposition` of a file that is to be saved under that name; curl reads the plain one only."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
