"""What files are refused for, and how it is told."""

import random

import polars as pl
import pytest

from common.datafiles.limits import Limits
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from tests.registry.files import inspect, parquet, refusal


@pytest.mark.parametrize(
    ("format_", "data", "why"),
    [
        ("csv", "text,label\n", "no rows"),
        ("csv", "text,label", "no rows"),
        ("csv", "text,label\n\n\n", "no rows"),
        ("tsv", "text\tlabel\n", "no rows"),
        ("json", "[]", "no rows"),
        ("json", '{"data": []}', "no rows"),
        ("jsonl", "{}", "no rows"),
        ("json", "[{}, {}]", "no rows"),
    ],
)
def test_a_file_without_rows_is_refused(format_: DatasetFormat, data: str, why: str) -> None:
    assert why in refusal(data, format_).message


def test_a_parquet_without_rows_is_refused() -> None:
    empty = pl.DataFrame({"text": []}, schema={"text": pl.String})
    assert "no rows" in refusal(parquet(empty), "parquet").message


@pytest.mark.parametrize(
    ("format_", "data", "line"),
    [
        ("csv", "a,b\n1,2\n3\n", 3),
        ("csv", "a,b\n1,2\n\n3,4,5\n", 4),
        ("csv", 'a,b\n1,2\n"3,4\n5,6\n', 4),
        ("csv", 'a,b\n1,2\n"3"x,4\n', 3),
        ("csv", "a,b\n1,2\r3,4\n", 2),
        ("csv", '\n\na,b\n"x\ny",2\n3\n', 6),
        ("csv", "a,a\n1,2\n", 1),
        ("csv", b"a,b\n1,2\n\xff,3\n", 3),
        ("txt", b"one\ntwo\n\xe4\n", 3),
        ("jsonl", '{"a": 1}\n{"a": \n{"a": 2}\n', 2),
        ("jsonl", '{"a": 1}\n[1]\n', 2),
        ("jsonl", '{"a": 1}\nnull\n', 2),
        ("jsonl", '{"a": 1}\n{"a": NaN}\n', 2),
        ("jsonl", '{"a": 1}\n{"a": "\\ud800"}\n', 2),
        ("jsonl", b'{"a": 1}\n{"a": "\xff"}\n', 2),
        ("jsonl", '{"a": 1} {"a": 2}\n{"a": 1}', 1),
        ("json", '[\n{"a": 1},\n{"a": }\n]', 3),
        ("json", '[\n{"a": 1},\n{"a": 2}\n', 4),
        ("json", '[\n{"a": 1}\n{"a": 2}\n]', 3),
        ("json", '[\n{"a": 1},\n]', 3),
        ("json", '[\n{"a": 1}\n]\nmore', 4),
        ("json", '[\n{"a": 1},\n{"a": "x', 3),
        ("json", '[\n{"a": 1},\n[2]\n]', 3),
        ("json", '[\n{"a": 1},\n{"a": NaN}]', 3),
        ("json", '[\n{"a": 1},\n{"a": "\\ud800"}]', 3),
        ("json", b'[\n{"a": 1},\n{"a": "\xff"}]', 3),
        ("json", '{\n"data": [\n1,,2]}', 3),
    ],
)
def test_what_is_broken_is_told_with_its_line(format_: DatasetFormat, data: bytes | str, line: int) -> None:
    refused = refusal(data, format_)
    assert refused.metadata["line"] == line, refused.message
    assert f"ine {line}" in refused.message


def test_a_json_that_holds_no_rows_is_refused() -> None:
    for data in ('{"a": 1}', '{"a": [1], "b": [1, 2]}', '{"a": {"b": []}}'):
        assert "array of rows" in refusal(data, "json").message
    assert "Row 1 is a number" in refusal('{"data": [1]}', "json").message


@pytest.mark.parametrize("cut", [4, 100, -8, -1])
def test_a_damaged_parquet_is_refused(cut: int) -> None:
    whole = parquet(pl.DataFrame({"text": [str(i) for i in range(1000)]}))
    assert "not valid Parquet" in refusal(whole[:cut], "parquet").message


def test_a_parquet_whose_bytes_were_changed_is_refused_or_read_but_never_crashes() -> None:
    whole = bytearray(parquet(pl.DataFrame({"text": [f"text {i}" for i in range(200)], "n": range(200)})))
    dice = random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[dice.randrange(4, len(damaged))] = dice.randrange(256)
        try:
            inspect(bytes(damaged), "parquet")
        except Refused as refused:
            assert refused.code is RefusalCode.DATASET_INVALID


NARROW = Limits(max_columns=3, max_column_names_bytes=20, max_row_bytes=100)


@pytest.mark.parametrize(
    ("format_", "data", "why"),
    [
        ("csv", "a,b,c,d\n1,2,3,4\n", "more than 3 columns"),
        ("jsonl", '{"a": 1, "b": 2}\n{"c": 1, "d": 2}\n', "more than 3 columns"),
        ("json", '[{"a": 1, "b": 2}, {"c": 1, "d": 2}]', "more than 3 columns"),
        ("parquet", parquet(pl.DataFrame({name: [1] for name in "abcd"})), "more than 3 columns"),
        ("csv", f"{'x' * 21}\n1\n", "names of the columns"),
        ("csv", '"a\x07",b\n1,2\n', "control characters"),
        ("json", '[{"a\\u0000": 1}]', "control characters"),
        ("csv", f"a,b\n1,{'x' * 200}\n", "longer than 100 bytes"),
        ("csv", 'a,b\n1,"' + "x\n" * 200, "longer than 100 bytes"),
        ("txt", "x" * 101, "longer than 100 bytes"),
        ("jsonl", '{"a": "' + "x" * 200, "longer than 100 bytes"),
        ("json", '{"data": [{"a": "' + "x" * 200 + '"}]}', "longer than 100 bytes"),
        ("json", '[{"a": "' + "x" * 200 + '"}]', "longer than 100 bytes"),
        ("parquet", parquet(pl.DataFrame({"a": ["x" * 200]})), "longer than 100 bytes"),
        ("parquet", parquet(pl.DataFrame({"a": [b"x" * 200]})), "longer than 100 bytes"),
    ],
)
def test_what_is_too_wide_is_refused(format_: DatasetFormat, data: bytes | str, why: str) -> None:
    assert why in refusal(data, format_, NARROW).message
