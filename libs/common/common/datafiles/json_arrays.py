"""JSON: an array of rows, read through a window so that a file of any size takes the memory of a few rows."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from common.datafiles.json_lines import Shape
from common.datafiles.limits import Limits
from common.datafiles.lines import not_utf8
from common.datafiles.parts import Part, Records, Row, canonical, in_parts
from contracts.base import Refused
from contracts.pipeline import invalid_dataset

_CHUNK = 256 * 1024
_WHITE_SPACE = re.compile(r"[ \t\r\n]*")
_LONGEST_LITERAL = len("-Infinity")
_MAX_DOCUMENT_BYTES = 64 * 1024 * 1024


def read_json(file: BinaryIO, limits: Limits) -> Iterator[Part]:
    """An array of objects; or an object that holds one array of rows, or that is made of equally long columns.

    Raises `Refused(DATASET_INVALID)`, saying on which line the JSON is broken.
    """
    window = _Window(file, limits)
    rows = _array(window, limits) if window.peek() == "[" else _document(window, limits)
    return map(Records, in_parts(rows))


def _array(window: "_Window", limits: Limits) -> Iterator[tuple[Row, int]]:
    shape = Shape(limits)
    window.take("[")
    if window.peek() != "]":
        while True:
            window.peek()
            line = window.line()
            value, size = window.value()
            yield shape.row(value, line), size
            if window.peek() != ",":
                break
            window.take(",")
    window.take("]")
    if window.peek():
        raise window.broken("there is something behind the end of the array")


def _document(window: "_Window", limits: Limits) -> Iterator[tuple[Row, int]]:
    first_line = window.line()
    text = window.rest(_MAX_DOCUMENT_BYTES)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise invalid_dataset(f"Line {line} is not valid JSON: {error.msg}", line=line) from None
    shape = Shape(limits)
    for number, row in enumerate(_rows_within(value), 1):
        size = len(canonical(row))
        if size > limits.max_row_bytes:
            raise invalid_dataset(f"Row {number} is longer than {limits.max_row_bytes} bytes")
        yield shape.row(row), size


def _rows_within(value: Any) -> list[Any]:
    columns = {name: part for name, part in value.items() if isinstance(part, list)} if isinstance(value, dict) else {}
    if len(columns) == 1:
        return next(iter(columns.values()))
    if columns and len(columns) == len(value) and len({len(part) for part in columns.values()}) == 1:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    raise invalid_dataset("The JSON is not an array of rows, and holds no single one")


def _white_space_end(text: str, start: int) -> int:
    found = _WHITE_SPACE.match(text, start)
    return start if found is None else found.end()


class _Window:
    """A stretch of a text file that moves on as values are taken from its beginning."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._text = ""
        self._position = 0
        self._ended = False
        self._counted = 0
        self._line = 1

    def line(self) -> int:
        """The number of the line that comes next (1-based)."""
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def broken(self, why: str, position: int | None = None) -> Refused:
        line = self.line()
        if position is not None:
            line += self._text.count("\n", self._position, position)
        return invalid_dataset(f"Line {line} is not valid JSON: {why}", line=line)

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            self._position = _white_space_end(self._text, self._position)
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read(_CHUNK):
                return ""

    def take(self, character: str) -> None:
        if (found := self.peek()) != character:
            raise self.broken(f"{character!r} is expected, not {found!r}" if found else "the file ends too early")
        self._position += 1

    def value(self) -> tuple[Any, int]:
        """The next value, with its size in characters. Reads on while the value may go on."""
        self.peek()
        most = self._limits.max_row_bytes
        wanted = _CHUNK
        while (end := self._end_of_value()) is None:
            if len(self._text) - self._position > most:
                raise self._limits.too_wide(self.line())
            self._read(wanted)
            wanted *= 2
        size = end - self._position
        if size > most:
            raise self._limits.too_wide(self.line())
        return self._taken(end), size

    def _end_of_value(self) -> int | None:
        """Where the value at the position ends; None when it may go on behind the window."""
        try:
            _, end = self._scan(self._text, self._position)
        except json.JSONDecodeError as error:
            at_end = error.pos >= len(self._text) - _LONGEST_LITERAL or error.msg.startswith("Unterminated")
            if at_end and not self._ended:
                return None
            raise self.broken(error.msg, error.pos) from None
        except (ValueError, RecursionError):
            raise self.broken("a value is too large or too deep") from None
        return end

    def _taken(self, end: int) -> Any:
        start, self._position = self._position, end
        try:
            # Read again, so that rows mean the same in JSON and JSON Lines: no NaN, no half characters.
            return orjson.loads(self._text[start:end])
        except orjson.JSONDecodeError as error:
            raise self.broken(error.msg) from None

    def rest(self, most: int) -> str:
        """Everything that is left. Raises `Refused(DATASET_INVALID)` when that is more than `most` characters."""
        parts: list[str] = []
        size = 0
        while True:
            parts.append(self._text[self._position :])
            size += len(parts[-1])
            self._position = len(self._text)
            if size > most:
                raise invalid_dataset(f"JSON of more than {most >> 20} MiB must be an array of rows")
            if not self._read(_CHUNK):
                return "".join(parts)

    def _read(self, size: int) -> bool:
        """Makes the window longer at its end and drops what lies behind; False at the end of the file."""
        if self._ended:
            return False
        chunk = self._file.read(size)
        self._ended = not chunk
        try:
            text = self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            ahead = self._text.count("\n", self._position) + bytes(error.object[: error.start]).count(b"\n")
            raise not_utf8(self.line() + ahead) from None
        self.line()
        self._text, self._position, self._counted = self._text[self._position :] + text, 0, 0
        return True
