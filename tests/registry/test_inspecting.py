"""What is found out about files of every format."""

import io
import json
import random
import subprocess
import sys
import tracemalloc
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, cast

import polars as pl
import pytest

from common.datafiles.files import DataFile
from common.datafiles.parts import PART_ROWS
from contracts.pipeline import DatasetFormat
from registry.engine.inspecting import inspect_file
from tests.registry.files import LIMITS, inspect, parquet


def test_a_csv_is_analysed() -> None:
    found = inspect("text,label,score,ok\nhello,1,0.5,true\nhi,2,1,false\n,3,,\nhi,2,1,false\n", "csv")
    analysis = found.analysis
    assert (found.format, analysis.rows, analysis.columns) == ("csv", 4, ["text", "label", "score", "ok"])
    assert analysis.column_types == {"text": "string", "label": "integer", "score": "number", "ok": "boolean"}
    assert analysis.missing == {"text": 1, "label": 0, "score": 1, "ok": 1}
    assert analysis.duplicate_rows == 1
    assert analysis.text_column == "text"
    assert analysis.stats is not None
    assert analysis.stats.model_dump() == {"avg_length": 3.0, "min_length": 2, "max_length": 5}
    assert found.samples[0] == {"text": "hello", "label": "1", "score": "0.5", "ok": "true"}
    assert found.samples[2] == {"text": None, "label": "3", "score": None, "ok": None}


@pytest.mark.parametrize(
    "data",
    [
        "a;b\n1,5;x\n",
        "a|b\n1,5|x\n",
        '\ufeffa,b\r\n"1,5",x\r\n',
        "\n\na;b\n1,5;x\n\n",
        '"a","b"\n"1,5","x"',
        'sep=;\r\na;b\r\n"1,5";x\r\n',
        "SEP=|\na|b\n1,5|x\n",
    ],
)
def test_the_dialects_of_csv_that_are_met_are_read(data: str) -> None:
    assert inspect(data, "csv").samples == [{"a": "1,5", "b": "x"}]


def test_a_quoted_field_may_hold_lines_and_quotes() -> None:
    found = inspect('text,n\n"one\ntwo ""three""",1\n', "csv")
    assert found.samples == [{"text": 'one\ntwo "three"', "n": "1"}]


def test_an_unnamed_index_column_is_kept() -> None:
    assert inspect(",text\n0,a\n1,b\n", "csv").analysis.columns == ["", "text"]


def test_a_tsv_is_split_at_tabs_alone() -> None:
    assert inspect("text\tn\nhello, you\t1\n", "tsv").samples == [{"text": "hello, you", "n": "1"}]


def test_every_line_of_a_text_that_is_not_blank_is_a_row() -> None:
    found = inspect("one\r\n\n  \ntwo, and\tmore\n", "txt")
    assert found.samples == [{"text": "one"}, {"text": "two, and\tmore"}]
    assert found.analysis.columns == ["text"]


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("jsonl", '{"text": "a", "n": 1}\n\n{"n": 2.5, "tags": ["x"]}\r\n'),
        ("json", '[{"text": "a", "n": 1},\n {"n": 2.5, "tags": ["x"]}]'),
        ("json", '{"data": [{"text": "a", "n": 1}, {"n": 2.5, "tags": ["x"]}], "version": 1}'),
    ],
)
def test_json_rows_may_have_names_of_their_own(format_: DatasetFormat, data: str) -> None:
    found = inspect(data, format_)
    analysis = found.analysis
    assert analysis.columns == ["text", "n", "tags"]
    assert analysis.column_types == {"text": "string", "n": "number", "tags": "list"}
    assert analysis.missing == {"text": 1, "n": 0, "tags": 1}
    assert found.samples == [{"text": "a", "n": 1}, {"n": 2.5, "tags": ["x"]}]


def test_a_json_of_columns_is_read_as_rows() -> None:
    found = inspect('{"text": ["a", "b"], "n": [1, 2]}', "json")
    assert found.samples == [{"text": "a", "n": 1}, {"text": "b", "n": 2}]


def test_json_strings_are_rows_of_text() -> None:
    assert inspect('["a", "b"]', "json").samples == [{"text": "a"}, {"text": "b"}]
    assert inspect('"a"\n"b"\n', "jsonl").samples == [{"text": "a"}, {"text": "b"}]


def test_equal_json_rows_are_duplicates_whatever_the_order_of_their_names() -> None:
    assert inspect('{"a": 1, "b": [2]}\n{"b": [2], "a": 1}\n', "jsonl").analysis.duplicate_rows == 1


def test_values_of_several_kinds_are_told_as_mixed() -> None:
    analysis = inspect('{"a": 1, "b": null}\n{"a": "x", "b": null}\n', "jsonl").analysis
    assert analysis.column_types == {"a": "mixed", "b": "null"}
    assert (analysis.text_column, analysis.stats) == (None, None)


def test_a_parquet_is_analysed_with_types_of_its_own() -> None:
    frame = pl.DataFrame(
        {
            "text": ["äh", None, "äh"],
            "n": [1, 2, 1],
            "price": [Decimal("1.5"), None, Decimal("1.5")],
            "day": [date(2026, 1, 2)] * 3,
            "at": [datetime(2026, 1, 2, 3)] * 3,  # noqa: DTZ001 - Parquet may say no zone
            "took": [timedelta(seconds=1.5)] * 3,
            "raw": [b"\xff\x00"] * 3,
            "name": [b"abc"] * 3,
            "messages": [[{"role": "user"}]] * 3,
            "meta": [{"a": 1}] * 3,
            "nan": [float("nan")] * 3,
            "kind": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )
    found = inspect(parquet(frame), "parquet")
    analysis = found.analysis
    assert list(analysis.column_types.values()) == [
        "string", "integer", "number", "date", "datetime", "duration", "binary", "binary", "list", "object", "number",
        "string",
    ]  # fmt: skip
    assert (analysis.rows, analysis.duplicate_rows, analysis.missing["text"]) == (3, 1, 1)
    assert analysis.stats is not None
    assert analysis.stats.max_length == 2
    assert found.samples[0] == {
        "text": "äh",
        "n": 1,
        "price": "1.5",
        "day": "2026-01-02",
        "at": "2026-01-02T03:00:00",
        "took": "1.5 s",
        "raw": "/wA=",
        "name": "abc",
        "messages": [{"role": "user"}],
        "meta": {"a": 1},
        "nan": None,
        "kind": "x",
    }


@pytest.mark.parametrize("format_", ["csv", "jsonl", "json", "parquet", "txt"])
def test_rows_of_all_batches_are_counted(format_: DatasetFormat) -> None:
    """Duplicates, missing values, kinds and lengths hold over the whole file."""
    rows = [{"text": f"row {i % 9_000}"} for i in range(2 * PART_ROWS + 7)]
    data = {
        "csv": "text\n" + "\n".join(row["text"] for row in rows),
        "txt": "\n".join(row["text"] for row in rows),
        "jsonl": "\n".join(json.dumps(row) for row in rows),
        "json": json.dumps(rows, indent=1),
        "parquet": parquet(pl.DataFrame(rows), row_group_size=3_000),
    }[format_]
    found = inspect(data, format_)
    assert (found.analysis.rows, found.analysis.duplicate_rows) == (10_007, 1_007)
    assert [sample["text"] for sample in found.samples] == [f"row {i}" for i in range(100)]


def test_a_kind_that_changes_late_is_noticed() -> None:
    lines = [str(i) for i in range(PART_ROWS)] + ["not a number"]
    assert inspect("a\n" + "\n".join(lines), "csv").analysis.column_types == {"a": "string"}
    records = [{"a": 1}] * PART_ROWS + [{"a": 1, "late": "x"}]
    analysis = inspect("\n".join(map(json.dumps, records)), "jsonl").analysis
    assert analysis.missing == {"a": 0, "late": PART_ROWS}


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"prompt": "a long, long question", "text": "x"}, "text"),
        ({"prompt": "a long, long question", "content": "x"}, "content"),
        ({"prompt": "short", "answer": "a longer answer"}, "answer"),
        ({"a": "same", "b": "same"}, "a"),
        ({"text": 5, "b": "x"}, "b"),
        ({"text": 5}, None),
    ],
)
def test_the_text_column_is_named_so_or_has_the_longest_values(columns: dict[str, Any], chosen: str | None) -> None:
    assert inspect(json.dumps([columns]), "json").analysis.text_column == chosen


def test_a_file_of_any_size_takes_the_memory_of_a_few_rows() -> None:
    words = random.Random(0)

    class Endless(io.RawIOBase):
        """A JSON array of 40 MB that is nowhere in memory."""

        def __init__(self) -> None:
            self.left = 20_000

        def read(self, size: int = -1) -> bytes:
            if self.left == 0:
                return b""
            self.left -= 1
            row = json.dumps({"text": words.randbytes(1_000).hex()})
            return ("[" if self.left == 19_999 else "").encode() + row.encode() + (b"]" if self.left == 0 else b",")

        def seek(self, offset: int, whence: int = 0) -> int:
            self.left = 20_000
            return 0

    tracemalloc.start()
    try:
        found = inspect_file(DataFile(cast(BinaryIO, Endless()), "a.json", LIMITS), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.analysis.rows == 20_000
    assert peak < 40_000_000


def test_lengths_are_told_in_buckets_that_double() -> None:
    lines = ["x" * length for length in (3, 4, 7, 8, 100)] + [""]
    found = inspect("text,n\n" + "".join(f"{line},1\n" for line in lines), "csv").analysis
    assert [(b.from_length, b.to_length, b.rows) for b in found.length_histogram] == [
        (2, 3, 1),
        (4, 7, 2),
        (8, 15, 1),
        (16, 31, 0),
        (32, 63, 0),
        (64, 127, 1),
    ]


def test_the_service_itself_brings_nothing_that_reads_files() -> None:
    """What does belongs into the process whose memory and time are bounded, and takes 60 MiB."""
    program = "import sys, registry.main, registry.engine.inspection_process; sys.exit('polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
