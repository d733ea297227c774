"""What is known of a data set's rows, gathered batch by batch: summaries of parts that add up to that of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from contracts.pipeline import DatasetFormat, invalid_dataset
from contracts.registry import DatasetAnalysis, LengthBucket, LengthStats

PREFERRED_TEXT_COLUMNS = ("text", "content")
_TEXT_FORMATS: frozenset[DatasetFormat] = frozenset({"csv", "tsv", "txt"})


class Kind(StrEnum):
    """The type of a column's values. CSV, TSV and TXT know text alone, which may read as a narrower kind."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    DURATION = "duration"
    BINARY = "binary"
    LIST = "list"
    OBJECT = "object"
    NULL = "null"
    MIXED = "mixed"


@dataclass(frozen=True)
class Lengths:
    """Lengths of texts, in characters."""

    count: int
    total: int
    shortest: int
    longest: int
    buckets: tuple[int, ...]
    """How many have a length of 0, of 1, of 2 and 3, of 4 to 7, …: by the number of bits that the length takes."""

    @property
    def average(self) -> float:
        return self.total / self.count

    def __add__(self, other: "Lengths") -> "Lengths":
        return Lengths(
            self.count + other.count,
            self.total + other.total,
            min(self.shortest, other.shortest),
            max(self.longest, other.longest),
            tuple(map(sum, zip_longest(self.buckets, other.buckets, fillvalue=0))),
        )


@dataclass(frozen=True)
class ColumnSummary:
    """One column of some rows: how many have a value, of which kinds, and how long those are that are text."""

    present: int = 0
    kinds: frozenset[Kind] = frozenset()
    lengths: Lengths | None = None

    def __add__(self, other: "ColumnSummary") -> "ColumnSummary":
        both = [lengths for lengths in (self.lengths, other.lengths) if lengths is not None]
        lengths = both[0] + both[1] if len(both) == 2 else both[0] if both else None
        return ColumnSummary(self.present + other.present, self.kinds | other.kinds, lengths)

    def kind(self, *, text_only: bool) -> Kind:
        """The one kind that fits all values; where there is none, `string` if every value is text, else `mixed`."""
        if not self.kinds:
            return Kind.NULL
        if len(self.kinds) == 1:
            return next(iter(self.kinds))
        if self.kinds <= {Kind.INTEGER, Kind.NUMBER}:
            return Kind.NUMBER
        return Kind.STRING if text_only else Kind.MIXED


@dataclass(frozen=True)
class Summary:
    """Some rows and their columns, in order of first appearance."""

    rows: int
    columns: Mapping[str, ColumnSummary]

    def __add__(self, other: "Summary") -> "Summary":
        names = dict.fromkeys((*self.columns, *other.columns))
        empty = ColumnSummary()
        merged = {name: self.columns.get(name, empty) + other.columns.get(name, empty) for name in names}
        return Summary(self.rows + other.rows, merged)


NOTHING = Summary(0, {})


def analysis_of(summary: Summary, format: DatasetFormat, duplicate_rows: int) -> DatasetAnalysis:  # noqa: A002
    """What callers are told of a data set. Raises `Refused(DATASET_INVALID)` when there is no row."""
    if summary.rows == 0 or not summary.columns:
        raise invalid_dataset("The file has no rows")
    kinds = {name: column.kind(text_only=format in _TEXT_FORMATS) for name, column in summary.columns.items()}
    text_column = choose_text_column(summary.columns, kinds)
    lengths = None if text_column is None else summary.columns[text_column].lengths
    return DatasetAnalysis(
        rows=summary.rows,
        columns=list(summary.columns),
        column_types={name: kind.value for name, kind in kinds.items()},
        text_column=text_column,
        stats=None if lengths is None else _stats(lengths),
        length_histogram=[] if lengths is None else _histogram(lengths),
        missing={name: summary.rows - column.present for name, column in summary.columns.items()},
        duplicate_rows=duplicate_rows,
    )


def choose_text_column(columns: Mapping[str, ColumnSummary], kinds: Mapping[str, Kind]) -> str | None:
    """The string column named `text`, else `content`; else the string column with the longest values on average.

    Of several just as long the first; None when no column is of strings.
    """
    averages = {
        name: column.lengths.average
        for name, column in columns.items()
        if kinds[name] is Kind.STRING and column.lengths is not None
    }
    preferred = [name for name in PREFERRED_TEXT_COLUMNS if name in averages]
    return preferred[0] if preferred else max(averages, key=averages.__getitem__, default=None)


def _stats(lengths: Lengths) -> LengthStats:
    return LengthStats(avg_length=round(lengths.average, 2), min_length=lengths.shortest, max_length=lengths.longest)


def _histogram(lengths: Lengths) -> list[LengthBucket]:
    """From the first bucket that holds anything to the last."""
    first = next(bits for bits, rows in enumerate(lengths.buckets) if rows)
    return [
        LengthBucket(from_length=(1 << bits) >> 1, to_length=(1 << bits) - 1, rows=rows)
        for bits, rows in enumerate(lengths.buckets)
        if bits >= first
    ]
