"""Rows in batches, and what polars says of each: the part that is the same whatever a file's format."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from registry.domain.refusals import invalid_dataset
from registry.domain.summaries import ColumnSummary, Kind, Lengths, Summary

BATCH_ROWS = 5_000
BATCH_BYTES = 8 * 1024 * 1024
_LONGEST_NARROW_VALUE = 40
"""Text longer than this is not looked at as a number."""

RowT = TypeVar("RowT")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """Some rows: their summary, a 64-bit hash of each, and the way to the first of them.

    `start` is where they begin in the file, if they can be read from there on.
    """

    summary: Summary
    hashes: pl.Series
    first: Callable[[int], Sequence[Row]]
    start: int | None = None


def located(batches: Iterable[Batch], file: BinaryIO) -> Iterator[Batch]:
    """Says where each begins. They are taken from `file` one after another, and not a line of the next with them."""
    start = 0
    for batch in batches:
        yield replace(batch, start=start)
        start = file.tell()


def in_batches(rows: Iterable[tuple[RowT, int]]) -> Iterator[list[RowT]]:
    """Gathers rows, which come with their size in bytes, until a batch is full."""
    batch: list[RowT] = []
    total = 0
    for row, size in rows:
        batch.append(row)
        total += size
        if len(batch) == BATCH_ROWS or total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


# Text: the fields of CSV and TSV, the lines of TXT. An empty field is a missing value.


def batch_of_texts(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Batch:
    """Rows of as many fields as there are names."""
    # Numbered, not named: polars gives a column without a name one of its own.
    frame = pl.DataFrame(
        {str(i): pl.Series(values, dtype=pl.String) for i, values in enumerate(zip(*rows, strict=True))}
    )
    columns = map(_of_texts, frame.get_columns())
    summary = Summary(frame.height, dict(zip(names, columns, strict=True)))

    def first(count: int) -> list[Row]:
        return [{name: value or None for name, value in zip(names, row, strict=True)} for row in rows[:count]]

    return Batch(summary, frame.hash_rows(), first)


def _of_texts(column: pl.Series) -> ColumnSummary:
    present = column.filter(column != "")
    lengths = _lengths(_characters(present))
    if lengths is None:
        return ColumnSummary()
    narrow = lengths.longest <= _LONGEST_NARROW_VALUE
    return ColumnSummary(len(present), frozenset({_narrowest(present) if narrow else Kind.STRING}), lengths)


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


def _characters(texts: pl.Series) -> npt.NDArray[np.uint32]:
    return texts.str.len_chars().to_numpy()


def batch_of_columns(names: Sequence[str], frame: pl.DataFrame, known_texts: set[int]) -> Batch:
    """Rows as columns of text without nulls, one for each name.

    `known_texts` are the columns, by number, that are known to hold more than numbers and the like: one value that is
    just text decides that for the whole file, so no other need be looked at. Those found out about here are added.
    """
    columns: dict[str, ColumnSummary] = {}
    for number, (name, column) in enumerate(zip(names, frame.get_columns(), strict=True)):
        characters = _characters(column)
        lengths = _lengths(characters[characters > 0])
        kind = Kind.STRING
        if number not in known_texts and lengths is not None and lengths.longest <= _LONGEST_NARROW_VALUE:
            kind = _narrowest(column.filter(column != ""))
        if kind is Kind.STRING and lengths is not None:
            known_texts.add(number)
        columns[name] = ColumnSummary() if lengths is None else ColumnSummary(lengths.count, frozenset({kind}), lengths)

    def first(count: int) -> list[Row]:
        rows = frame.head(count).iter_rows()
        return [{name: value or None for name, value in zip(names, row, strict=True)} for row in rows]

    return Batch(Summary(frame.height, columns), frame.hash_rows(), first)


# JSON and JSON Lines: objects, each with the names it has. An absent name is a missing value.


def batch_of_records(records: Sequence[Row]) -> Batch:
    """Rows as JSON objects."""
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: _of_values([record.get(name) for record in records]) for name in names}
    # Hashed one by one: the rows written as JSON, all together, take many times the memory of the batch.
    hashes = [hash(canonical(record)) for record in records]
    summary = Summary(len(records), columns)
    return Batch(summary, pl.Series(hashes, dtype=pl.Int64), lambda count: records[:count])


def canonical(value: Any) -> bytes:
    """The value as JSON, the same for equal values. Raises `Refused(DATASET_INVALID)` when it is nested too deeply."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise invalid_dataset("A row is nested too deeply") from None


_JSON_KINDS: Mapping[type, Kind] = {
    str: Kind.STRING,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}


def _of_values(values: Sequence[Any]) -> ColumnSummary:
    kinds = {_JSON_KINDS[kind] for kind in set(map(type, values)) - {type(None)}}
    characters = np.array([len(value) for value in values if type(value) is str], dtype=np.uint32)
    return ColumnSummary(len(values) - values.count(None), frozenset(kinds), _lengths(characters))


# Parquet: columns with types of their own.


def batch_of_frame(frame: pl.DataFrame) -> Batch:
    """Rows as a table."""
    summary = Summary(frame.height, {column.name: _of_series(column) for column in frame.get_columns()})
    return Batch(summary, frame.hash_rows(), lambda count: frame.head(count).to_dicts())


def _of_series(column: pl.Series) -> ColumnSummary:
    present = column.drop_nulls()
    if present.is_empty():
        return ColumnSummary()
    lengths = _lengths(_characters(present)) if present.dtype == pl.String else None
    return ColumnSummary(len(present), frozenset({_kind_of(present.dtype)}), lengths)


def _kind_of(dtype: pl.DataType) -> Kind:
    if dtype.is_integer():
        return Kind.INTEGER
    if dtype.is_numeric():
        return Kind.NUMBER
    return _PARQUET_KINDS.get(dtype.base_type(), Kind.MIXED)


_PARQUET_KINDS: Mapping[type[pl.DataType], Kind] = {
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
