"""Rows as they come out of a file, some at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import orjson
import polars as pl

from contracts.pipeline import invalid_dataset

PART_ROWS = 5_000
PART_BYTES = 8 * 1024 * 1024
AT_ONCE = 2
"""Parts that are worked on at the same time; one more is read meanwhile."""

RowT = TypeVar("RowT")
FromT = TypeVar("FromT")
ToT = TypeVar("ToT")
Row = Mapping[str, Any]


View = Callable[[int], Sequence[pl.Expr]]
"""What is wanted of rows of text that have so many columns, named `0`, `1`, …. It is asked for each part anew."""


def every_column(_columns: int) -> Sequence[pl.Expr]:
    """Rows as they are."""
    return (pl.all(),)


@dataclass(frozen=True)
class Texts:
    """Of CSV, TSV and TXT: columns of text, none null, numbered, since their `names` need not suit polars.

    An empty field is a missing value. `frame` holds what was wanted of the rows, `lengths` those of all fields, in
    characters. `start` is where the rows begin in the file, if they can be read from there on.
    """

    names: Sequence[str]
    frame: pl.DataFrame
    lengths: pl.DataFrame
    start: int | None = None

    @property
    def rows(self) -> int:
        return self.lengths.height

    def first(self, count: int) -> Sequence[Row]:
        """Of a part whose columns were all wanted."""
        rows = self.frame.head(count).select(map(str, range(len(self.names)))).iter_rows() if count else ()
        return [{name: value or None for name, value in zip(self.names, row, strict=True)} for row in rows]


@dataclass(frozen=True)
class Records:
    """Of JSON and JSON Lines: objects, each with the names it has. An absent name is a missing value."""

    records: Sequence[Row]
    start: int | None = None

    @property
    def rows(self) -> int:
        return len(self.records)

    def first(self, count: int) -> Sequence[Row]:
        return self.records[:count]


@dataclass(frozen=True)
class Table:
    """Columns with types of their own."""

    frame: pl.DataFrame
    start: int | None = None

    @property
    def rows(self) -> int:
        return self.frame.height

    def first(self, count: int) -> Sequence[Row]:
        return self.frame.head(count).to_dicts()


@dataclass(frozen=True)
class PlainRecords(Table):
    """Records that all have the same names, and texts, numbers or booleans for them: as a table, for speed."""


Part = Texts | Records | Table


def texts_of(names: Sequence[str], rows: Sequence[Sequence[str]], view: View) -> Texts:
    """Rows of as many fields as there are names."""
    columns = enumerate(zip(*rows, strict=True))
    frame = pl.DataFrame({str(number): pl.Series(values, dtype=pl.String) for number, values in columns})
    return Texts(names, frame.select(*view(len(names))), frame.select(pl.all().str.len_chars()))


def located(parts: Iterable[Part], file: BinaryIO, offset: int = 0) -> Iterator[Part]:
    """Says where each begins. They are taken from `file`, which is at `offset`, one after another, and no line of the
    next with them."""
    start = file.tell()
    for part in parts:
        yield replace(part, start=offset + start)
        start = file.tell()


def in_parts(rows: Iterable[tuple[RowT, int]]) -> Iterator[list[RowT]]:
    """Gathers rows, which come with their size in bytes, until there are enough for a part."""
    part: list[RowT] = []
    total = 0
    for row, size in rows:
        part.append(row)
        total += size
        if len(part) == PART_ROWS or total >= PART_BYTES:
            yield part
            part, total = [], 0
    if part:
        yield part


def in_order(
    pool: Executor, source: Iterable[FromT], work: Callable[[FromT], ToT], at_once: int = AT_ONCE
) -> Iterator[tuple[FromT, ToT]]:
    """What `work` makes of each, beside it; `at_once` of them are worked on at the same time."""
    waiting: deque[tuple[FromT, Future[ToT]]] = deque()
    for one in source:
        waiting.append((one, pool.submit(work, one)))
        if len(waiting) > at_once:
            first, done = waiting.popleft()
            yield first, done.result()
    for first, done in waiting:
        yield first, done.result()


def canonical(value: Any) -> bytes:
    """As `as_json`, the same for equal values."""
    return as_json(value, option=orjson.OPT_SORT_KEYS)


def as_json(value: Any, **how: Any) -> bytes:
    """The value as orjson writes it. Raises `Refused(DATASET_INVALID)` when it is nested too deeply."""
    try:
        return orjson.dumps(value, **how)
    except orjson.JSONEncodeError:
        raise invalid_dataset("A row is nested too deeply") from None
