"""What is known of some rows: a summary of their columns, and a hash of each by which duplicates are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from common.datafiles.parts import Part, PlainRecords, Records, Row, Table, Texts
from registry.domain.summaries import ColumnSummary, Kind, Lengths, Summary
from registry.engine.hashing import ABSENT, row_hash, row_hashes

_HASH = "hash"
_LONGEST_NARROW_VALUE = 40
"""Text longer than this is not looked at as a number."""


@dataclass(frozen=True)
class Looked:
    """What was seen of some rows: their summary, and a 64-bit hash of each."""

    summary: Summary
    hashes: pl.Series


class Summariser:
    """Looks at the parts of one file, at several at once."""

    def __init__(self) -> None:
        self._known_texts: set[int] = set()
        """Columns, by number, that hold more than numbers and the like: one value that is just text decides that for
        the whole file, so no other need be looked at."""

    def look(self, part: Part) -> Looked:
        match part:
            case Texts():
                return self._of_texts(part)
            case Records():
                return _of_records(part.records)
            case PlainRecords():
                return replace(_of_frame(part.frame), hashes=row_hashes(part.frame.to_dict()))
            case Table():
                return _of_frame(part.frame)

    def view(self, columns: int, *, whole: bool) -> Sequence[pl.Expr]:
        """What `look` needs of rows of text: a hash, and those columns that may hold something else, or all."""
        wanted = (str(number) for number in range(columns) if whole or number not in self._known_texts)
        return (*map(pl.col, wanted), row_hash(columns).alias(_HASH))

    def _of_texts(self, part: Texts) -> Looked:
        columns = {
            name: self._of_text(number, part.frame, characters)
            for number, (name, characters) in enumerate(zip(part.names, part.lengths.get_columns(), strict=True))
        }
        return Looked(Summary(part.rows, columns), part.frame.get_column(_HASH))

    def _of_text(self, number: int, frame: pl.DataFrame, characters: pl.Series) -> ColumnSummary:
        """Of the column with that number; fields without characters are missing values."""
        counted = characters.to_numpy()
        lengths = _lengths(counted if counted.all() else counted[counted > 0])
        if lengths is None:
            return ColumnSummary()
        kind = Kind.STRING
        if number not in self._known_texts and lengths.longest <= _LONGEST_NARROW_VALUE:
            column = frame.get_column(str(number))
            kind = _narrowest(column if lengths.count == len(column) else column.filter(column != ""))
        if kind is Kind.STRING:
            self._known_texts.add(number)
        return ColumnSummary(lengths.count, frozenset({kind}), lengths)


def _narrowest(texts: pl.Series) -> Kind:
    for kind, pattern in _NARROW_KINDS.items():
        if texts.str.contains(pattern).all():
            return kind
    return Kind.STRING


_NARROW_KINDS: Mapping[Kind, str] = {
    Kind.INTEGER: r"^[+-]?[0-9]+$",
    Kind.NUMBER: r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    Kind.BOOLEAN: r"^(?i:true|false)$",
    Kind.DATE: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    Kind.DATETIME: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}",
}


def _lengths(characters: npt.NDArray[np.uint32]) -> Lengths | None:
    """Of texts with that many characters each; None when there are none."""
    if characters.size == 0:
        return None
    # The exponent of a whole number is its length in bits.
    buckets = np.bincount(np.frexp(characters)[1])
    total, shortest, longest = characters.sum(dtype=np.int64), characters.min(), characters.max()
    return Lengths(characters.size, int(total), int(shortest), int(longest), tuple(buckets.tolist()))


def _of_records(records: Sequence[Row]) -> Looked:
    names = dict.fromkeys(name for record in records for name in record)
    values = {name: [record.get(name, ABSENT) for record in records] for name in names}
    columns = {name: _of_values(column) for name, column in values.items()}
    return Looked(Summary(len(records), columns), row_hashes(values))


_JSON_KINDS: Mapping[type, Kind] = {
    str: Kind.STRING,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}


def _of_values(values: Sequence[Any]) -> ColumnSummary:
    kinds = {_JSON_KINDS[kind] for kind in set(map(type, values)) - {type(None), type(ABSENT)}}
    characters = np.array([len(value) for value in values if type(value) is str], dtype=np.uint32)
    present = len(values) - values.count(None) - values.count(ABSENT)
    return ColumnSummary(present, frozenset(kinds), _lengths(characters))


def _of_frame(frame: pl.DataFrame) -> Looked:
    summary = Summary(frame.height, {column.name: _of_series(column) for column in frame.get_columns()})
    return Looked(summary, frame.hash_rows())


def _of_series(column: pl.Series) -> ColumnSummary:
    present = column.drop_nulls()
    if present.is_empty():
        return ColumnSummary()
    lengths = _lengths(present.str.len_chars().to_numpy()) if present.dtype == pl.String else None
    return ColumnSummary(len(present), frozenset({_kind_of(present.dtype)}), lengths)


def _kind_of(dtype: pl.DataType) -> Kind:
    if dtype.is_integer():
        return Kind.INTEGER
    if dtype.is_numeric():
        return Kind.NUMBER
    return _TABLE_KINDS.get(dtype.base_type(), Kind.MIXED)


_TABLE_KINDS: Mapping[type[pl.DataType], Kind] = {
    pl.String: Kind.STRING,
    pl.Boolean: Kind.BOOLEAN,
    pl.Date: Kind.DATE,
    pl.Datetime: Kind.DATETIME,
    pl.Time: Kind.TIME,
    pl.Duration: Kind.DURATION,
    pl.Binary: Kind.BINARY,
    pl.List: Kind.LIST,
    pl.Array: Kind.LIST,
    pl.Struct: Kind.OBJECT,
}
