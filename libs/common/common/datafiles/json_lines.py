"""JSON Lines: one row a line."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

import orjson

from common.datafiles.delimited import TEXT_COLUMN
from common.datafiles.json_blocks import line_blocks, parse
from common.datafiles.limits import Limits
from common.datafiles.lines import byte_lines, decoded
from common.datafiles.parts import AT_ONCE, Part, PlainRecords, Records, Row, in_order, in_parts, located
from contracts.pipeline import invalid_dataset

_MOST_MISSES = 3
"""After so many blocks in a row that are not plain, no further one is tried."""


class Shape:
    """Makes rows of JSON values, and bounds the names that occur in them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._names: dict[str, None] = {}
        self._count = 0

    def row(self, value: Any, line: int | None = None) -> Row:
        """An object as it is, a string as a row of text. Raises `Refused(DATASET_INVALID)` for anything else."""
        self._count += 1
        if isinstance(value, str):
            value = {TEXT_COLUMN: value}
        if not isinstance(value, dict):
            place = "" if line is None else f" (line {line})"
            found = _JSON_NAMES[type(value)]
            raise invalid_dataset(f"Row {self._count}{place} is {found}, not an object", line=line)
        self._check(value)
        return value

    def rows(self, names: Iterable[str], count: int) -> None:
        """So many rows of those names are made elsewhere. Raises `Refused(DATASET_INVALID)` as for any others."""
        self._count += count
        self._check(names)

    def _check(self, names: Iterable[str]) -> None:
        """Raises `Refused(DATASET_INVALID)` when all rows together have too many names, or ones no one could use."""
        if not self._names.keys() >= set(names):
            self._names.update(dict.fromkeys(names))
            self._limits.check_columns(self._names)


_JSON_NAMES = {list: "an array", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def read_json_lines(file: BinaryIO, limits: Limits) -> Iterator[Part]:
    """Blank lines are no rows. Raises `Refused(DATASET_INVALID)`, saying which line is broken."""
    shape = Shape(limits)
    number, unread, misses = 1, file.tell(), 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for lines, frame in in_order(pool, line_blocks(file, limits), partial(parse, limits=limits)):
            if frame is not None:
                shape.rows(frame.columns, frame.height)
                yield PlainRecords(frame, lines.start)
            else:
                yield from _one_by_one(BytesIO(lines.data), limits, shape, number, lines.start)
            number += lines.data.count(b"\n")
            unread = lines.start + len(lines.data)
            misses = misses + 1 if frame is None else 0
            if misses == _MOST_MISSES:
                break
    file.seek(unread)
    yield from _one_by_one(file, limits, shape, number)


def _one_by_one(file: BinaryIO, limits: Limits, shape: Shape, first: int, offset: int = 0) -> Iterator[Part]:
    """The lines from where `file` stands on, the `first` of which has that number."""
    return located(map(Records, in_parts(_rows(file, limits, shape, first))), file, offset)


def _rows(file: BinaryIO, limits: Limits, shape: Shape, first: int) -> Iterator[tuple[Row, int]]:
    for number, line in byte_lines(file, limits, first):
        if line.isspace():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            decoded(line, number)
            raise invalid_dataset(f"Line {number} is not valid JSON: {error.msg}", line=number) from None
        yield shape.row(value, number), len(line)
