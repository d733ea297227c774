"""Delimited text in blocks of whole rows, so that several can be parsed at once by a parser that knows no line numbers.

Polars parses some ten times as fast as Python's `csv`, and says less: it takes a stray quote or a lone carriage return
for something. So a block goes to it only when nothing in it can be understood in two ways, and all others to `csv`,
which is strict and tells the line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from common.datafiles.limits import Limits

BLOCK_BYTES = 4 * 1024 * 1024
_NEWLINE, _RETURN, _QUOTE = b"\n\r" + b'"'

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Whole rows, ended by a line feed. `start` is where they begin in the file, `quotes` are places within."""

    data: bytes
    start: int
    quotes: Places


def blocks(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """The rows from where `file` stands on. Ends early, before a row that seems to have no end."""
    start = file.tell()
    while data := file.read(BLOCK_BYTES):
        quotes = _places(data, _QUOTE)
        rest = _rest_of_row(file, limits, is_open=quotes.size % 2 == 1)
        if rest is None:
            return
        quotes = np.concatenate((quotes, _places(rest, _QUOTE) + len(data)))
        size = len(data) + len(rest)
        # The last line of a file need not have an end.
        yield Block(b"".join((data, rest, b"" if (rest or data).endswith(b"\n") else b"\n")), start, quotes)
        start += size


def _rest_of_row(file: BinaryIO, limits: Limits, *, is_open: bool) -> bytes | None:
    """What belongs to the row in which a block ended, in a quoted field or not; None when that seems to have no end."""
    lines: list[bytes] = []
    size = 0
    while line := file.readline(limits.max_row_bytes + 1):
        lines.append(line)
        size += len(line)
        is_open ^= line.count(b'"') % 2 == 1
        if size > limits.max_row_bytes:
            return None
        if not is_open:
            break
    return None if is_open else b"".join(lines)


def parse(block: Block, columns: int, separator: str, limits: Limits) -> pl.DataFrame | None:
    """The rows as columns of text named `0`, `1`, …; None when they are not plain enough to be sure of them."""
    data, quotes = block.data, block.quotes
    text = np.frombuffer(data, dtype=np.uint8)
    if (b"\r" in data and not _returns_end_lines(text)) or not _quotes_wrap_fields(text, quotes, ord(separator)):
        return None
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            separator=separator,
            schema={str(number): pl.String for number in range(columns)},
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    # Polars refuses a row that is too long, and fills one that is too short: then its last field is empty.
    in_doubt = np.count_nonzero(text == _NEWLINE) != frame.height or (frame.to_series(-1) == "").any()
    if in_doubt and not _is_full(text, quotes, ord(separator), frame.height, columns):
        return None
    return frame if len(data) <= limits.max_row_bytes or _widest(frame) <= limits.max_row_bytes else None


def _places(data: bytes, character: int) -> Places:
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == character)


def _returns_end_lines(text: Bytes) -> bool:
    return bool((text[np.flatnonzero(text == _RETURN) + 1] == _NEWLINE).all())


def _quotes_wrap_fields(text: Bytes, quotes: Places, separator: int) -> bool:
    """Whether each quote opens a field, closes one or is one of two in a quoted field."""
    before, after = text[quotes[::2] - 1], text[quotes[1::2] + 1]
    opens = (before == separator) | (before == _NEWLINE) | (before == _QUOTE)
    closes = (after == separator) | (after == _NEWLINE) | (after == _QUOTE) | (after == _RETURN)
    return bool(opens.all() and closes.all())


def _is_full(text: Bytes, quotes: Places, separator: int, rows: int, columns: int) -> bool:
    """Whether there are that many rows, none blank, and fields for all columns; quotes hide what is within them."""
    lines = np.flatnonzero(text == _NEWLINE)
    widths = np.diff(lines, prepend=-1)
    blank = lines[(widths == 1) | ((widths == 2) & (text[lines - 1] == _RETURN))]
    separators = np.flatnonzero(text == separator)
    return (
        not _is_outside(blank, quotes).any()
        and _is_outside(lines, quotes).sum() == rows
        and _is_outside(separators, quotes).sum() == rows * (columns - 1)
    )


def _is_outside(places: Places, quotes: Places) -> npt.NDArray[np.bool_]:
    outside: npt.NDArray[np.bool_] = np.searchsorted(quotes, places) % 2 == 0
    return outside


def _widest(frame: pl.DataFrame) -> int:
    """Bytes of the longest row, its separators included."""
    if frame.is_empty():
        return 0
    sizes = frame.select(pl.sum_horizontal(pl.all().str.len_bytes())).to_series()
    return int(sizes.max() or 0) + frame.width  # type: ignore[arg-type]
