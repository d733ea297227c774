"""JSON Lines in blocks of whole lines, parsed as a table where every line has the same names and plain values.

Polars parses some times as fast as objects are made, and says less: it takes 5 for the text "5" where a column is of
texts, fills what is absent and leaves out what is new. So a block goes to it only when its bytes say that there is
nothing to take for something: see `parse`. All others are read line by line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from common.datafiles.blocks import Bytes, Places
from common.datafiles.limits import Limits

BLOCK_BYTES = 4 * 1024 * 1024
_NEWLINE, _QUOTE, _BACKSLASH, _COLON, _COMMA, _SPACE, _OPEN, _CLOSE, _MINUS, _POINT, _ZERO = b'\n"\\:, {}-.0'
_DIGITS = b"0123456789"
_WIDEST_NUMBER = 15
"""Digits of which every number is exact, whoever reads it."""
_MOST_BACKSLASHES = 64
"""One behind the other before a quote. Looking behind takes a step for each, and more than a few are nobody's text."""

Table = npt.NDArray[np.int64]
"""A place, or a number of bytes, for each row and name."""


@dataclass(frozen=True)
class Lines:
    """Whole lines, each ended by a line feed, which begin in the file at `start`."""

    data: bytes
    start: int


def line_blocks(file: BinaryIO, limits: Limits) -> Iterator[Lines]:
    """The lines from where `file` stands on. Ends early, before one that is too long."""
    start = file.tell()
    while data := file.read(BLOCK_BYTES):
        rest = b"" if data.endswith(b"\n") else file.readline(limits.max_row_bytes + 1)
        if len(rest) > limits.max_row_bytes:
            return
        size = len(data) + len(rest)
        yield Lines(b"".join((data, rest, b"" if (rest or data).endswith(b"\n") else b"\n")), start)
        start += size


def parse(lines: Lines, limits: Limits) -> pl.DataFrame | None:
    """The lines as a table; None unless each is an object of the same names in the same order, without white space but
    one behind colons and commas, and each column is of texts, of short whole numbers, of short decimal ones or of
    booleans, or null."""
    text = np.frombuffer(lines.data, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    begins = np.concatenate(([0], ends[:-1] + 1))
    if (ends - begins).max() >= limits.max_row_bytes or not _are_objects(lines.data, text, begins, ends):
        return None
    keys = _keys(text, begins, ends, limits)
    schema = None if keys is None else _schema(text, keys, ends)
    if keys is None or schema is None:
        return None
    try:
        frame = pl.read_ndjson(lines.data, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    nulls = [np.count_nonzero(column == ord("n")) for column in text[keys.values].T]
    return frame if frame.height == ends.size and list(frame.null_count().row(0)) == nulls else None


def _are_objects(data: bytes, text: Bytes, begins: Places, ends: Places) -> bool:
    """Whether each line may be one, of text, without what is an error or has to be looked at closely."""
    # Within a text a control character is an error, without it is white space. Half a character, escaped, is an error.
    # One character is found several times as fast as two.
    if b"\\" in data and (b"\\ud" in data or b"\\uD" in data):
        return False
    if np.count_nonzero(text < _SPACE) != ends.size:
        return False
    return bool((text[begins] == _OPEN).all() and (text[ends - 1] == _CLOSE).all() and _is_text(data))


def _is_text(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class _Keys:
    """The names that all lines have, where they open, and where their values begin."""

    names: Sequence[str]
    opens: Table
    values: Table
    texts: int
    """How many texts there are besides the names."""


def _keys(text: Bytes, begins: Places, ends: Places, limits: Limits) -> _Keys | None:
    quotes = _quotes(text)
    if quotes is None or quotes.size % 2 or (np.searchsorted(quotes, ends) % 2).any():
        return None
    opens, closes = quotes[::2], quotes[1::2]
    is_key = text[closes + 1] == _COLON
    opens, closes = opens[is_key], closes[is_key]
    count = int(np.searchsorted(closes, ends[0]))
    if not 0 < count <= limits.max_columns or closes.size != count * ends.size:
        return None
    opens, closes = opens.reshape(-1, count), closes.reshape(-1, count)
    if (opens[:, 0] != begins + 1).any() or (closes[:, -1] >= ends).any():
        return None
    names = _same(text, opens + 1, closes - opens - 1, limits)
    if names is None:
        return None
    values = closes + 2
    values = values + (text[values] == _SPACE)
    return _Keys(names, opens, values, quotes.size // 2 - is_key.sum())


def _quotes(text: Bytes) -> Places | None:
    """Where quotes are that open or close a text: those behind an even number of backslashes. None for too many."""
    quotes = np.flatnonzero(text == _QUOTE)
    escaped = np.zeros(quotes.size, dtype=bool)
    behind = np.flatnonzero(text[quotes - 1] == _BACKSLASH)
    steps = 1
    while behind.size:
        if steps > _MOST_BACKSLASHES:
            return None
        escaped[behind] ^= True
        steps += 1
        behind = behind[text[quotes[behind] - steps] == _BACKSLASH]
    return quotes[~escaped]


def _same(text: Bytes, begins: Table, lengths: Table, limits: Limits) -> list[str] | None:
    """The names, if all rows have the same, within the limits."""
    if (lengths != lengths[0]).any() or lengths[0].sum() > limits.max_column_names_bytes:
        return None
    names = []
    for column, length in zip(begins.T, lengths[0].tolist(), strict=True):
        found = sliding_window_view(text, length)[column]
        if (found != found[0]).any():
            return None
        names.append(found[0].tobytes())
    if len(set(names)) < len(names) or any(_BACKSLASH in name for name in names):
        return None
    try:
        return [name.decode() for name in names]
    except UnicodeDecodeError:
        return None


def _schema(text: Bytes, keys: _Keys, ends: Places) -> dict[str, pl.DataType] | None:
    """The type of each column, if all its values have that one."""
    behind = keys.opens[:, 1:] - 1
    behind = behind - (text[behind] == _SPACE)
    if (text[behind] != _COMMA).any():
        return None
    stops = np.concatenate((behind, (ends - 1)[:, None]), axis=1)
    first = text[keys.values]
    if np.count_nonzero(first == _QUOTE) != keys.texts:
        return None
    schema: dict[str, pl.DataType] = {}
    for number, name in enumerate(keys.names):
        dtype = _type(text, first[:, number], keys.values[:, number], stops[:, number])
        if dtype is None:
            return None
        schema[name] = dtype
    return schema


def _type(text: Bytes, first: Bytes, values: Places, stops: Places) -> pl.DataType | None:
    present = first != ord("n")
    kinds = set(np.unique(first[present]).tolist())
    if not kinds:
        return pl.Null()
    if kinds == {_QUOTE}:
        return pl.String()
    if kinds <= {ord("t"), ord("f")}:
        return pl.Boolean()
    if kinds <= {_MINUS, *_DIGITS}:
        return _number(text, values[present], stops[present])
    return None


def _number(text: Bytes, values: Places, stops: Places) -> pl.DataType | None:
    """Of whole numbers or of decimal ones, written the plainest way: no exponents, no zeros before, no minus zero."""
    values = values + (text[values] == _MINUS)
    widths = stops - values
    most = int(widths.max())
    if most > _WIDEST_NUMBER or widths.min() < 1:
        return None
    points = np.zeros(values.size, dtype=np.int64)
    for place in range(most):
        inside = place < widths
        characters = text[values[inside] + place]
        is_point = characters == _POINT
        if not (is_point | ((characters >= _ZERO) & (characters <= _ZERO + 9))).all():
            return None
        points[inside] += is_point
    if (text[stops - 1] == _POINT).any() or (text[values] == _POINT).any():
        return None
    if (points == 0).all():
        plain = (text[values] != _ZERO) | ((widths == 1) & (text[values - 1] != _MINUS))
        return pl.Int64() if plain.all() else None
    if (points == 1).all():
        plain = (text[values] != _ZERO) | ((text[values + 1] == _POINT) & (text[values - 1] != _MINUS))
        return pl.Float64() if plain.all() else None
    return None
