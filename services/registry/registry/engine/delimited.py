"""CSV, TSV and plain text, row by row. Python's parser is strict and knows line numbers, which polars' does not."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO

from registry.domain.formats import csv_separator
from registry.domain.limits import Limits
from registry.domain.refusals import invalid_dataset
from registry.engine.batches import Batch, batch_of_texts, in_batches
from registry.engine.lines import byte_lines, decoded

TEXT_COLUMN = "text"
"""The one column of a TXT file, whose rows are its lines."""


def read_text(file: BinaryIO, limits: Limits) -> Iterator[Batch]:
    """Every line that is not blank is a row."""
    lines = ((decoded(line, number).rstrip("\r\n"), len(line)) for number, line in byte_lines(file, limits))
    for batch in in_batches(((line,), size) for line, size in lines if line.strip()):
        yield batch_of_texts([TEXT_COLUMN], batch)


def read_delimited(file: BinaryIO, limits: Limits, separator: str | None = None) -> Iterator[Batch]:
    """Rows under a header; without a `separator`, the header decides. Blank lines are no rows.

    Raises `Refused(DATASET_INVALID)`, saying on which line, when fields do not fit the header or a quote is not closed.
    """
    table = _Table(file, limits, separator)
    for batch in in_batches(table.rows()):
        yield batch_of_texts(table.names, batch)


class _Table:
    """A header and the rows below it, of which one at a time is in memory."""

    def __init__(self, file: BinaryIO, limits: Limits, separator: str | None) -> None:
        self._limits = limits
        self._line = 0
        self._row_bytes = 0
        lines = self._lines(file)
        first = next((line for line in lines if line.strip()), "")
        csv.field_size_limit(limits.max_row_bytes)
        self._reader = csv.reader(chain([first], lines), delimiter=separator or csv_separator(first), strict=True)
        self.names = self._header()

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        for number, line in byte_lines(file, self._limits):
            # A quoted field may go on over lines: what the parser has taken since the last row is one row.
            self._row_bytes += len(line)
            self._line = number
            if self._row_bytes > self._limits.max_row_bytes:
                raise self._limits.too_wide(number)
            yield decoded(line, number)

    def _header(self) -> Sequence[str]:
        names = next((row for row, _ in self._parsed()), [])
        if not names:
            raise invalid_dataset("The file has no rows")
        self._limits.check_columns(names)
        double = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if double is not None:
            raise invalid_dataset(f"Line {self._line} names two columns {double!r}", line=self._line)
        return names

    def rows(self) -> Iterator[tuple[Sequence[str], int]]:
        """The rows below the header, with their size in bytes."""
        width = len(self.names)
        for row, size in self._parsed():
            if len(row) != width:
                message = f"Line {self._line} has {len(row)} fields; the header has {width}"
                raise invalid_dataset(message, line=self._line)
            yield row, size

    def _parsed(self) -> Iterator[tuple[list[str], int]]:
        try:
            for row in self._reader:
                if row:
                    yield row, self._row_bytes
                self._row_bytes = 0
        except csv.Error as error:
            reason = next((plain for part, plain in _PLAIN_REASONS.items() if part in str(error)), str(error))
            raise invalid_dataset(f"Line {self._line}: {reason}", line=self._line) from None


_PLAIN_REASONS = {
    "unexpected end of data": "a quote is not closed before the end of the file",
    "new-line character": "a carriage return stands alone; lines end with LF or CRLF",
}
