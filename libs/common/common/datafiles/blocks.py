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

BLOCK_BYTES = 6 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
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
    while data := _lines(file, start, limits):
        quotes = _places(data, _QUOTE)
        if quotes.size % 2 == 1:
            if (rest := _rest_of_row(file, limits)) is None:
                return
            quotes = np.concatenate((quotes, _places(rest, _QUOTE) + len(data)))
            data += rest
        size = len(data)
        if not data.endswith(b"\n"):
            if file.read(1):
                return
            data += b"\n"  # which the last line of a file need not have
        yield Block(data, start, quotes)
        start += size


def _lines(file: BinaryIO, start: int, limits: Limits) -> bytes:
    """Some whole lines from `start` on; the last has no end where it is the file's, or too long."""
    # Where they end is found first, so that they are read in one piece: to join two would copy both.
    file.seek(start + BLOCK_BYTES)
    size = BLOCK_BYTES + len(file.readline(limits.max_row_bytes + 1))
    file.seek(start)
    return file.read(size)


def _rest_of_row(file: BinaryIO, limits: Limits) -> bytes | None:
    """What belongs to the row in whose quoted field some lines ended; None when that seems to have no end."""
    lines: list[bytes] = []
    size = 0
    while line := file.readline(limits.max_row_bytes + 1):
        lines.append(line)
        size += len(line)
        if size > limits.max_row_bytes:
            return None
        if line.count(b'"') % 2 == 1:
            return b"".join(lines)
    return None


@dataclass(frozen=True)
class Parsed:
    """Rows as columns of text named `0`, `1`, …, and the `sizes` of the fields in bytes."""

    frame: pl.DataFrame
    sizes: pl.DataFrame


def parse(block: Block, columns: int, separator: str, limits: Limits) -> Parsed | None:
    """The rows; None when they are not plain enough to be sure of them."""
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
    sizes = frame.select(pl.all().str.len_bytes())
    # Polars refuses a row that is too long, and fills one that is too short: then its last field is empty.
    in_doubt = _count(text, _NEWLINE) != frame.height or sizes.to_series(-1).min() == 0
    if in_doubt and not _is_full(text, quotes, ord(separator), frame.height, columns):
        return None
    return Parsed(frame, sizes) if _widest(sizes, limits.max_row_bytes) <= limits.max_row_bytes else None


def _places(data: bytes, character: int) -> Places:
    text = np.frombuffer(data, dtype=np.uint8)
    return np.concatenate([np.flatnonzero(piece == character) + start for start, piece in _pieces(text)])


def _count(text: Bytes, character: int) -> int:
    return sum(int(np.count_nonzero(piece == character)) for _, piece in _pieces(text))


def _pieces(text: Bytes) -> Iterator[tuple[int, Bytes]]:
    """What is made of so few bytes stays in a processor's cache."""
    return ((start, text[start : start + _PIECE_BYTES]) for start in range(0, text.size, _PIECE_BYTES))


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


def _widest(sizes: pl.DataFrame, enough: int) -> int:
    """Bytes of the longest row, its separators included, or of one that might be, if that has no more than `enough`."""
    longest = sum(size.max() or 0 for size in sizes.get_columns()) + sizes.width  # type: ignore[misc]
    if longest <= enough:
        return longest
    return int(sizes.sum_horizontal().max()) + sizes.width  # type: ignore[arg-type]
