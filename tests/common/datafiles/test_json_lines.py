"""JSON Lines are read in blocks where that is safe, and mean the same as read line by line."""

import io
import json
import random
from typing import Any

import orjson
import pytest

from common.datafiles import json_blocks
from common.datafiles.json_lines import read_json_lines
from common.datafiles.limits import Limits
from common.datafiles.parts import PlainRecords, Records
from contracts.base import Refused

LIMITS = Limits(max_columns=6)
_VALUES = [
    '"a"', '""', '"é🙂"', '"q\\"\\\\"', '"\\\\"', '"\\u00e9\\n"', '"a\\":1,{}"', '"\\ud83d\\ude42"', "1", "0", "-5",
    "12.5", "-0.25", "1e3", "007", "-0", "1.", ".5", "9" * 30, "null", "true", "false", "[1]", '{"a": 1}', "NaN", "nul",
    "truex", '"\\x"', '"\t"', '"\\ud800"', '"a" "b"', "", '"cut', "1 2", "+1", "--1", "1-2", '"5"', "5", "1.0", "3,",
    '1,"c":2',
]  # fmt: skip
_PLAIN = ['"a"', '"é \\n b"', '""', "null"], ["1", "20", "-3"], ["0.5", "12.25", "null"], ["true", "false"]


def _read(data: bytes) -> tuple[list[dict[str, Any]] | str, int]:
    """The rows, or what is said of them, and how many were read in blocks."""
    rows: list[dict[str, Any]] = []
    quick = 0
    try:
        for part in read_json_lines(io.BytesIO(data), LIMITS):
            assert isinstance(part, PlainRecords | Records)
            rows += map(dict, part.first(10**6))
            quick += part.rows if isinstance(part, PlainRecords) else 0
    except Refused as refused:
        return refused.message, quick
    return rows, quick


def _line(dice: random.Random, odd: float) -> str:
    names = dice.choice([["a", "b"]] * 8 + [["b", "a"], ["a"], ["a", "a"], ["a", "b", "c"]])
    columns = [dice.choice(_VALUES) if dice.random() < odd else dice.choice(_PLAIN[ord(name) % 2]) for name in names]
    colon, comma = dice.choice([(": ", ", ")] * 3 + [(":", ","), (" :", ","), (":  ", " , ")])
    inside = comma.join(f'"{name}"{colon}{value}' for name, value in zip(names, columns, strict=True))
    if dice.random() < odd / 5:
        return dice.choice(["[1]", "null", '"text"', ""])
    return dice.choice(["{%s}"] * 12 + ["{%s,}", " {%s} ", "{%s", "[%s]", "{%s}}"]) % inside


def test_rows_mean_what_they_do_line_by_line_wherever_blocks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(5)
    quick = agreed = 0
    for _ in range(1_500):
        odd = dice.choice([0, 0, 0.05, 0.3])
        data = "\n".join(_line(dice, odd) for _ in range(dice.randint(1, 6))).encode() + dice.choice([b"", b"\n"])
        monkeypatch.setattr(json_blocks, "BLOCK_BYTES", dice.choice([5, 30, 1 << 20]))
        found, in_blocks = _read(data)
        with monkeypatch.context() as patched:
            patched.setattr("common.datafiles.json_lines.parse", lambda lines, limits: None)
            expected, _ = _read(data)
        assert repr(found) == repr(expected), data  # which tells 1 from 1.0 and from true
        quick += in_blocks
        agreed += isinstance(found, list)
    assert min(quick, agreed) > 100


@pytest.mark.parametrize("columns", _PLAIN, ids=["texts", "whole", "decimal", "booleans"])
def test_plain_rows_are_read_in_blocks(columns: list[str]) -> None:
    data = "".join(f'{{"name": {value}, "n": 1}}\n' for value in columns * 50).encode()
    rows, quick = _read(data)
    assert rows == [orjson.loads(line) for line in data.splitlines()]
    assert quick == len(rows)


def test_one_block_that_is_not_plain_leaves_the_others_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", 1_000)
    lines = [json.dumps({"a": number}) for number in range(1_000)]
    lines[500] = '{"a": [1]}'
    rows, quick = _read("\n".join(lines).encode())
    assert rows == [json.loads(line) for line in lines]
    assert 800 < quick < 1_000
    lines[700] = '{"a": }'
    told, _ = _read("\n".join(lines).encode())
    assert "Line 701 is not valid JSON" in told


@pytest.mark.parametrize(
    ("line", "is_table"),
    [
        (b'{"a": "%s"}' % (b"\\" * 64), True),
        (b'{"a": "%s"}' % (b"\\" * 66), False),
        (b'{"%s": 1}' % (b"n" * 8192), True),
        (b'{"%s": 1}' % (b"n" * 8193), False),
        (b"{%s}" % b",".join(b'"%d":1' % number for number in range(6)), True),
        (b"{%s}" % b",".join(b'"%d":1' % number for number in range(7)), False),
    ],
    ids=["escaped", "escaped often", "long name", "too long a name", "wide", "too wide"],
)
def test_blocks_that_would_take_long_to_look_at_are_read_line_by_line(line: bytes, is_table: bool) -> None:
    """Each backslash before a quote takes a step over the block, each column some: bytes must not cost seconds."""
    frame = json_blocks.parse(json_blocks.Lines(line + b"\n", 0), LIMITS)
    assert (frame is not None) is is_table
    if frame is not None:
        assert frame.to_dicts() == [orjson.loads(line)]
