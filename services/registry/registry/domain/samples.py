"""The first rows of a data set as a preview shows them: safe as JSON, and together within a message."""

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Any

import orjson

from contracts.pipeline import invalid_dataset

Json = dict[str, Any]
MAX_SAMPLES = 100
MAX_SAMPLE_BYTES = 512 * 1024
"""All samples of a data set together, as JSON."""


def samples_of(rows: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The rows as JSON values, whole when all of them fit into `MAX_SAMPLE_BYTES`.

    Else each row that takes more than its share has its long values cut, which then end in an ellipsis. Rows of so many
    columns that even this is too much are left out at the end.
    """
    encoded = [_encoded(row) for row in rows]
    if sum(map(len, encoded)) > MAX_SAMPLE_BYTES:
        share = MAX_SAMPLE_BYTES // len(rows)
        encoded = [row if len(row) <= share else _shortened(row, share) for row in encoded]
    sizes = accumulate(map(len, encoded))
    return [orjson.loads(row) for row, size in zip(encoded, sizes, strict=True) if size <= MAX_SAMPLE_BYTES]


def _encoded(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, default=_to_json)
    except orjson.JSONEncodeError:
        raise invalid_dataset("A row is nested too deeply") from None


def _to_json(value: object) -> str:
    """Values that Parquet knows and JSON does not. Bytes that are not text are shown in base 64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return f"{value.total_seconds()} s"
    return str(value)


def _shortened(encoded: bytes, size: int) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    names = sum(len(orjson.dumps(name)) + 2 for name in row)
    room = max((size - names) // len(row), 16)
    return orjson.dumps({name: _cut(value, room) for name, value in row.items()})


def _cut(value: Any, room: int) -> Any:
    encoded = orjson.dumps(value)
    if len(encoded) <= room:
        return value
    text = value if isinstance(value, str) else encoded.decode()
    # An escaped character takes up to six bytes; text without any keeps as much as there is room for.
    kept = text.encode()[: room - 5].decode(errors="ignore")
    if len(orjson.dumps(kept)) > room:
        kept = kept[: (room - 5) // 6]
    return kept + "…"
