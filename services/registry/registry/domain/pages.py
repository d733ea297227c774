"""Pages of a data set's rows: which part of the file to fetch for them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from contracts.base import Message


class Mark(Message):
    """Row number `row` (0-based) begins at byte `offset` of the file."""

    row: int
    offset: int


class RowRange(Message):
    """`take` rows after the first `skip`."""

    skip: int = Field(ge=0)
    take: int = Field(ge=1)


@dataclass(frozen=True)
class Excerpt:
    """Parts of a file, as `(first byte, bytes)`, that together read like a file of which `rows` are wanted."""

    parts: tuple[tuple[int, int], ...]
    rows: RowRange


def excerpt(marks: Sequence[Mark], size: int, wanted: RowRange) -> Excerpt:
    """What to fetch of a file of `size` bytes: what stands before its first row, and the rows around those `wanted`.

    Without marks that is all of it.
    """
    if not marks:
        return Excerpt(((0, size),), wanted)
    first = marks[bisect_right(marks, wanted.skip, key=lambda mark: mark.row) - 1]
    after = bisect_left(marks, wanted.skip + wanted.take, key=lambda mark: mark.row)
    end = marks[after].offset if after < len(marks) else size
    parts = ((0, marks[0].offset), (first.offset, end - first.offset))
    rows = RowRange(skip=wanted.skip - first.row, take=wanted.take)
    return Excerpt(tuple(part for part in parts if part[1]), rows)
