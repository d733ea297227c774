"""CSV is read in blocks where that is safe, and means the same as read row by row."""

import csv
import io
import random
from collections.abc import Sequence

import polars as pl
import pytest

from common.datafiles import blocks
from common.datafiles.delimited import read_delimited
from common.datafiles.limits import Limits
from contracts.base import Refused

LIMITS = Limits()
_PIECES = ["a", "bc", "1", "-2.5", "", "é", "🙂", " ", '"', '""', ",", "\n", "\r\n", "\r", "x y", "true", "\t", ";"]


def _read(data: bytes, separator: str | None = None) -> list[dict[str, str | None]] | str:
    try:
        parts = list(read_delimited(io.BytesIO(data), LIMITS, lambda part: part, separator=separator))
    except Refused as refused:
        return refused.message
    return [dict(row) for part in parts for row in part.first(10**6)]


def _expected(data: bytes) -> list[dict[str, str | None]] | None:
    """As Python's parser reads it; None where it or the header refuses."""
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode(), newline="\n"), strict=True) if row]
    except csv.Error:
        return None
    header, *below = rows
    if any(len(row) != len(header) for row in below):
        return None
    return [{name: value or None for name, value in zip(header, row, strict=True)} for row in below]


def _random_rows(dice: random.Random) -> bytes:
    lines = ["a,b"]
    for _ in range(dice.randint(1, 12)):
        fields = ["".join(dice.choices(_PIECES, k=dice.randint(0, 4))) for _ in range(dice.choice([2, 2, 2, 2, 1, 3]))]
        if dice.random() < 0.8:
            fields = ['"' + field.replace('"', '""') + '"' if dice.random() < 0.8 else field for field in fields]
        lines.append(",".join(fields))
    return "\n".join(lines).encode() + dice.choice([b"", b"\n", b"\r\n", b"\n\n"])


def test_rows_mean_what_the_strict_parser_says_wherever_blocks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(11)
    agreed = 0
    for _ in range(500):
        data = _random_rows(dice)
        monkeypatch.setattr(blocks, "BLOCK_BYTES", dice.choice([7, 16, 33, 1 << 20]))
        found, expected = _read(data, ","), _expected(data)
        if expected is None:
            assert isinstance(found, str), data
        else:
            assert found == expected, data
            agreed += 1
    assert agreed > 40


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "rows",
    [
        ["1,2", "  ", "3,4"],
        ["1,2", "", "3,4"],
        ['"""a""",2', "   ", "3,4"],
        ['"a""b""c""d",2', "    ", "3,4"],
        ["1,2", "3,", "4"],
        ["1,2", "", "3"],
        ['"1\n",2', "3"],
        ['"a",", ""b"""', "3,4"],
    ],
)
def test_bytes_that_no_field_has_are_noticed_whatever_makes_up_for_them(rows: list[str], newline: str) -> None:
    data = newline.join(["a,b", *rows, ""]).encode()
    found, expected = _read(data, ","), _expected(data)
    assert isinstance(found, str) if expected is None else found == expected


def test_only_what_is_wanted_of_rows_is_kept_beside_their_lengths() -> None:
    def view(columns: int) -> Sequence[pl.Expr]:
        return (pl.col(str(columns - 1)), pl.concat_str(pl.all()).alias("whole"))

    data = 'a,b\n1,"x, y"\né,zz\n'.encode()
    (part,) = read_delimited(io.BytesIO(data), LIMITS, lambda part: part, view)
    assert part.frame.to_dict(as_series=False) == {"1": ["x, y", "zz"], "whole": ["1x, y", "ézz"]}
    assert [column.to_list() for column in part.lengths.get_columns()] == [[1, 1], [4, 2]]


@pytest.mark.parametrize(
    "row", ['5" pipe,2', 'x, "y"', "1,2\r\n3,4", '"a ""b"" c",""', '"two\n\nparagraphs",1', " ,  "]
)
def test_rows_that_are_not_plain_are_read_as_well(row: str) -> None:
    data = f"a,b\n1,2\n{row}\n7,8\n".encode()
    assert _read(data) == _expected(data)


def test_a_broken_row_behind_many_blocks_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    rows = "".join(f'{number},"two\nlines"\n' for number in range(500))
    assert _read(f"a,b\n{rows}1,2,3\n".encode()) == "Line 1002 has 3 fields; the header has 2"
    assert "Line 1002 has 1 fields" in str(_read(f"a,b\n{rows}1\n".encode()))
    assert "line 1002 holds bytes" in str(_read(f"a,b\n{rows}".encode() + b"\xff,2\n"))
