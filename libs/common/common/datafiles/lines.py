"""The lines of a text file, read one at a time within bounds."""

from collections.abc import Iterator
from typing import BinaryIO

from common.datafiles.limits import Limits
from contracts.base import Refused
from contracts.pipeline import invalid_dataset

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def byte_lines(file: BinaryIO, limits: Limits, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Each line with its number (the next has number `first`), its end included, without a leading byte order mark.

    Raises `Refused(DATASET_INVALID)` at a line above `limits.max_row_bytes`.
    """
    number = first - 1
    while line := file.readline(limits.max_row_bytes + 1):
        number += 1
        if len(line) > limits.max_row_bytes:
            raise limits.too_wide(number)
        yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


def decoded(line: bytes, number: int) -> str:
    """The line as text. Raises `Refused(DATASET_INVALID)` when it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise not_utf8(number) from None


def not_utf8(line: int) -> Refused:
    return invalid_dataset(f"The file is not UTF-8: line {line} holds bytes that are no text", line=line)
