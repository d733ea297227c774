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
from common.datafiles.parts import View

BLOCK_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_NEWLINE, _RETURN, _QUOTE = b"\n\r" + b'"'
_FIRST_BEYOND_ASCII = 128

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
    """What was wanted of some rows, and the `lengths` of their fields in characters, a column each."""

    frame: pl.DataFrame
    lengths: pl.DataFrame


def parse(block: Block, columns: int, separator: str, limits: Limits, view: View) -> Parsed | None:
    """What `view` wants of the rows; None when they are not plain enough to be sure of them."""
    data, quotes = block.data, block.quotes
    text = np.frombuffer(data, dtype=np.uint8)
    returns = _returns(text) if b"\r" in data else 0
    stripped = _stripped_quotes(text, quotes, ord(separator))
    if stripped is None or returns is None:
        return None
    is_ascii = bool(text.max() < _FIRST_BEYOND_ASCII)
    try:
        frame, sizes, lengths = _columns_of(data, columns, separator, view, is_ascii=is_ascii)
    except pl.exceptions.PolarsError:
        return None
    # Polars refuses a row that is too long, fills one that is too short and passes over a blank line: then there are
    # last fields that are empty, or bytes that belong to no field.
    rows = sizes.height
    told = sum(size.sum() for size in sizes.get_columns()) + rows * columns + stripped + returns
    in_doubt = told != len(data) or sizes.to_series(-1).min() == 0
    if in_doubt and not _is_full(text, quotes, ord(separator), rows, columns):
        return None
    return Parsed(frame, lengths) if _widest(sizes, limits.max_row_bytes) <= limits.max_row_bytes else None


def _columns_of(
    data: bytes, columns: int, separator: str, view: View, *, is_ascii: bool
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """What `view` wants of the rows, and of all their fields the sizes in bytes and the lengths in characters."""
    rows = pl.scan_csv(
        data,
        has_header=False,
        separator=separator,
        schema={str(number): pl.String for number in range(columns)},
        empty_string_is_null=False,
    )
    sizes = pl.all().str.len_bytes().name.prefix("bytes of ")
    lengths = pl.all().str.len_chars().name.prefix("characters of ")
    measured = [sizes] if is_ascii else [sizes, lengths]
    # In one query, which measures a row while it is in a processor's cache.
    found = rows.select(*view(columns), *measured).collect(engine="streaming").get_columns()
    split = len(found) - columns * len(measured)
    return (
        pl.DataFrame(found[:split]),
        pl.DataFrame(found[split : split + columns]),
        pl.DataFrame(found[-columns:]),
    )


def _places(data: bytes, character: int) -> Places:
    text = np.frombuffer(data, dtype=np.uint8)
    return np.concatenate([np.flatnonzero(piece == character) + start for start, piece in _pieces(text)])


def _pieces(text: Bytes) -> Iterator[tuple[int, Bytes]]:
    """What is made of so few bytes stays in a processor's cache."""
    return ((start, text[start : start + _PIECE_BYTES]) for start in range(0, text.size, _PIECE_BYTES))


def _returns(text: Bytes) -> int | None:
    """How many carriage returns there are; None unless each ends a line."""
    returns = np.flatnonzero(text == _RETURN)
    return returns.size if (text[returns + 1] == _NEWLINE).all() else None


def _stripped_quotes(text: Bytes, quotes: Places, separator: int) -> int | None:
    """How many quotes are no part of their field; None unless each opens one, closes one or is one of two within."""
    before, after = text[quotes[::2] - 1], text[quotes[1::2] + 1]
    doubled = after == _QUOTE
    opens = (before == separator) | (before == _NEWLINE) | (before == _QUOTE)
    closes = (after == separator) | (after == _NEWLINE) | doubled | (after == _RETURN)
    return quotes.size - int(np.count_nonzero(doubled)) if opens.all() and closes.all() else None


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
