"""JSON Lines: one row a line."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from common.datafiles.delimited import TEXT_COLUMN
from common.datafiles.limits import Limits
from common.datafiles.lines import byte_lines, decoded
from common.datafiles.parts import Part, Records, Row, in_parts, located
from contracts.pipeline import invalid_dataset


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
        if not value.keys() <= self._names.keys():
            self._names.update(dict.fromkeys(value))
            self._limits.check_columns(self._names)
        return value


_JSON_NAMES = {list: "an array", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def read_json_lines(file: BinaryIO, limits: Limits) -> Iterator[Part]:
    """Blank lines are no rows. Raises `Refused(DATASET_INVALID)`, saying which line is broken."""
    return located(map(Records, in_parts(_rows(file, limits))), file)


def _rows(file: BinaryIO, limits: Limits) -> Iterator[tuple[Row, int]]:
    shape = Shape(limits)
    for number, line in byte_lines(file, limits):
        if line.isspace():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            decoded(line, number)
            raise invalid_dataset(f"Line {number} is not valid JSON: {error.msg}", line=number) from None
        yield shape.row(value, number), len(line)
