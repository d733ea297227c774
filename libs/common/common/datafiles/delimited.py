"""CSV, TSV and plain text. What is plain is parsed in blocks, all else row by row by Python's strict parser."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import SEEK_END
from itertools import chain
from typing import BinaryIO, TypeVar

from common.datafiles.blocks import BLOCK_BYTES, Block, blocks, parse
from common.datafiles.formats import SEPARATORS, csv_separator
from common.datafiles.limits import Limits
from common.datafiles.lines import byte_lines, decoded
from common.datafiles.parts import Part, Texts, View, every_column, in_order, in_parts, located, texts_of
from contracts.pipeline import invalid_dataset

ResultT = TypeVar("ResultT")
_AT_ONCE = 4
"""Blocks that are worked on at the same time. Each waits for polars some of its time."""
TEXT_COLUMN = "text"
"""The one column of a TXT file, whose rows are its lines."""


def read_text(file: BinaryIO, limits: Limits, view: View = every_column) -> Iterator[Part]:
    """Every line that is not blank is a row."""
    lines = ((decoded(line, number).rstrip("\r\n"), len(line)) for number, line in byte_lines(file, limits))
    rows = in_parts(((line,), size) for line, size in lines if line.strip())
    return located((texts_of([TEXT_COLUMN], part, view) for part in rows), file)


def read_delimited(
    file: BinaryIO,
    limits: Limits,
    work: Callable[[Texts], ResultT],
    view: View = every_column,
    *,
    separator: str | None = None,
) -> Iterator[ResultT]:
    """What `work` makes of rows under a header, of several parts at once; without a `separator`, the header decides it.
    Blank lines are no rows.

    Raises `Refused(DATASET_INVALID)`, saying on which line, when fields do not fit the header or a quote is not closed.
    """
    header = _Rows(file, limits)
    names = header.names(separator)

    def done(block: Block) -> tuple[ResultT] | None:
        if (parsed := parse(block, len(names), header.separator, limits, view)) is None:
            return None
        return (work(Texts(names, parsed.frame, parsed.lengths, block.start)),)

    # The parser has taken the lines of the header from the file, and not one more.
    begin = unread = file.tell()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for block, result in in_order(pool, blocks(file, limits), done, _AT_ONCE):
            if result is None:
                break
            unread = block.start + len(block.data)
            yield from result
    read_lines = header.line + _lines_between(file, begin, unread)
    file.seek(unread)
    rest = _Rows(file, limits, line=read_lines + 1)
    for rows in in_parts(rest.below(names, header.separator)):
        yield work(texts_of(names, rows, view))


def _lines_between(file: BinaryIO, begin: int, end: int) -> int:
    """Counted when a row has to be told with its line; plain rows need no line numbers."""
    if begin == end or end >= file.seek(0, SEEK_END):
        return 0
    file.seek(begin)
    pieces = (file.read(min(BLOCK_BYTES, end - at)) for at in range(begin, end, BLOCK_BYTES))
    return sum(piece.count(b"\n") for piece in pieces)


class _Rows:
    """Rows from where `file` stands, which is at line number `line`; one at a time is in memory."""

    def __init__(self, file: BinaryIO, limits: Limits, *, line: int = 1) -> None:
        self._limits = limits
        self._row_bytes = 0
        self._source = self._lines(file, line)
        self.line = line - 1
        self.separator = ""
        csv.field_size_limit(limits.max_row_bytes)

    def _lines(self, file: BinaryIO, first: int) -> Iterator[str]:
        for number, line in byte_lines(file, self._limits, first):
            # A quoted field may go on over lines: what the parser has taken since the last row is one row.
            self._row_bytes += len(line)
            self.line = number
            if self._row_bytes > self._limits.max_row_bytes:
                raise self._limits.too_wide(number)
            yield decoded(line, number)

    def names(self, separator: str | None) -> Sequence[str]:
        """The next row, as the names of columns. Without a `separator` it says what separates them."""
        first = self._first()
        if (told := _TOLD_SEPARATOR.fullmatch(first.rstrip("\r\n"))) is not None:
            separator, first = told[1], self._first()
        self.separator = separator or csv_separator(first)
        names = next((row for row, _ in self._parsed(chain([first], self._source), self.separator)), [])
        if not names:
            raise invalid_dataset("The file has no rows")
        self._limits.check_columns(names)
        double = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if double is not None:
            raise invalid_dataset(f"Line {self.line} names two columns {double!r}", line=self.line)
        return names

    def _first(self) -> str:
        """The next line that is not blank."""
        return next((line for line in self._source if line.strip()), "")

    def below(self, names: Sequence[str], separator: str) -> Iterator[tuple[Sequence[str], int]]:
        """The rows under a header of these names, with their size in bytes."""
        width = len(names)
        for row, size in self._parsed(self._source, separator):
            if len(row) != width:
                message = f"Line {self.line} has {len(row)} fields; the header has {width}"
                raise invalid_dataset(message, line=self.line)
            yield row, size

    def _parsed(self, lines: Iterator[str], separator: str) -> Iterator[tuple[list[str], int]]:
        try:
            for row in csv.reader(lines, delimiter=separator, strict=True):
                if row:
                    yield row, self._row_bytes
                self._row_bytes = 0
        except csv.Error as error:
            reason = next((plain for part, plain in _PLAIN_REASONS.items() if part in str(error)), str(error))
            raise invalid_dataset(f"Line {self.line}: {reason}", line=self.line) from None


_TOLD_SEPARATOR = re.compile(f"sep=([{''.join(SEPARATORS)}])", re.IGNORECASE)
"""A line of spreadsheets' own, before the header."""
_PLAIN_REASONS = {
    "unexpected end of data": "a quote is not closed before the end of the file",
    "new-line character": "a carriage return stands alone; lines end with LF or CRLF",
}
