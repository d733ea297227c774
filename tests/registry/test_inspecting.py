"""What is found out about files of every format, well-formed and hostile."""

import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, cast

import polars as pl
import pytest
import zstandard

from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from registry.domain.inspections import Inspection
from registry.domain.limits import Limits
from registry.domain.pages import RowRange, excerpt
from registry.engine import blocks, inspecting, json_arrays
from registry.engine.batches import BATCH_ROWS
from registry.engine.inspecting import inspect_file, read_rows

LIMITS = Limits()


def inspect(data: bytes | str, format: DatasetFormat | None = None, limits: Limits = LIMITS) -> Inspection:  # noqa: A002
    content = data.encode() if isinstance(data, str) else data
    return inspect_file(io.BytesIO(content), f"file.{format}" if format else "file", format, limits)


def refusal(data: bytes | str, format: DatasetFormat | None = None, limits: Limits = LIMITS) -> Refused:  # noqa: A002
    with pytest.raises(Refused) as refused:
        inspect(data, format, limits)
    assert refused.value.code is RefusalCode.DATASET_INVALID
    assert refused.value.metadata["errors"][0]["message"] == refused.value.message
    return refused.value


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


# What is found out


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
    rows = [{"text": f"row {i % 9_000}"} for i in range(2 * BATCH_ROWS + 7)]
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
    lines = [str(i) for i in range(BATCH_ROWS)] + ["not a number"]
    assert inspect("a\n" + "\n".join(lines), "csv").analysis.column_types == {"a": "string"}
    records = [{"a": 1}] * BATCH_ROWS + [{"a": 1, "late": "x"}]
    analysis = inspect("\n".join(map(json.dumps, records)), "jsonl").analysis
    assert analysis.missing == {"a": 0, "late": BATCH_ROWS}


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
        found = inspect_file(cast(BinaryIO, Endless()), "a.json", None, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.analysis.rows == 20_000
    assert peak < 40_000_000


# What is refused, and how it is told


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


def test_a_json_row_without_end_is_refused_before_it_is_in_memory() -> None:
    assert "longer than" in refusal('[{"a": "' + "x" * 2_000_000, "json", Limits(max_row_bytes=300_000)).message


def test_a_json_row_just_below_the_bound_is_read_wherever_it_ends() -> None:
    for size in (200_000, 300_000, 600_000, 999_000):
        rows = [{"a": "x" * size}] * 3
        assert inspect(json.dumps(rows), "json", Limits(max_row_bytes=1_000_000)).analysis.rows == 3


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 11])
def test_json_rows_are_read_the_same_however_the_file_is_cut(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [
        {"text": 'q"\\uote \n é 🙂 \u0001', "n": -1.5e-7, "list": [True, False, None, {"deep": [1, 22, 333]}]},
        {"text": "", "n": 10},
    ]
    monkeypatch.setattr(json_arrays, "_CHUNK", chunk)
    for ascii_only in (True, False):
        data = json.dumps(rows * 3, ensure_ascii=ascii_only, indent=1)
        assert inspect(data, "json").samples == rows * 3
        broken = data[: data.rindex("10") + 2] + "x]"
        assert refusal(broken, "json").metadata["line"] == broken.count("\n") + 1


def test_batches_are_bounded_by_their_size_too() -> None:
    data = json.dumps([{"text": "x" * 1_000_000}] * 20).encode()
    sizes = [batch.summary.rows for batch in json_arrays.read_json(io.BytesIO(data), LIMITS)]
    assert (sum(sizes), max(sizes)) == (20, 9)


@pytest.mark.parametrize("depth", [300, 1_200, 100_000])
@pytest.mark.parametrize(
    ("format_", "form"), [("json", "[{0}]"), ("json", '{{"data": [{0}]}}'), ("jsonl", "{0}\n{0}\n")]
)
def test_a_row_that_is_nested_without_end_is_refused(format_: DatasetFormat, form: str, depth: int) -> None:
    refusal(form.format('{"a": ' + "[" * depth + "]" * depth + "}"), format_)


def test_numbers_beyond_all_bounds_are_read() -> None:
    row = '{"a": ' + "9" * 400 + ', "b": 1e400}'
    for data, format_ in ((f"[{row}]", "json"), (f"{row}\n{row}", "jsonl")):
        try:
            inspect(data, cast(DatasetFormat, format_))
        except Refused as refused:
            assert refused.code is RefusalCode.DATASET_INVALID


# Compressed files, and pages


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.csv.zst", "data"])
def test_a_compressed_file_is_read_as_what_it_holds(pack: Callable[[bytes], bytes], name: str) -> None:
    found = inspect_file(io.BytesIO(pack(b"text,n\nhello,1\nhi,2\n")), name, None, LIMITS)
    assert (found.format, found.analysis.rows, found.marks) == ("csv", 2, [])
    assert found.compression == ("gzip" if pack is gzip.compress else "zstd")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(b"a,b\n1,2\n")[:-6], "damaged gzip"),
        (zstandard.compress(b"a,b\n1,2\n")[:-2], "damaged zstd"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "gzip archive"),
        (gzip.compress(b""), "empty"),
        (gzip.compress(b"a\n" + b"0\n" * 600), "expands to more than 1000 bytes"),
    ],
    ids=["cut gzip", "cut zstd", "packed twice", "nothing", "expands too far"],  # gzip's bytes hold the time
)
def test_a_compressed_file_that_is_no_data_set_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        inspect_file(io.BytesIO(data), "a.csv.gz", None, Limits(max_expanded_bytes=1000))


@pytest.mark.parametrize("format_", ["csv", "jsonl", "txt", "json", "parquet"])
@pytest.mark.parametrize(("skip", "take"), [(0, 3), (4_999, 2), (9_000, 100), (12_345, 100), (19_990, 100)])
def test_any_page_of_rows_can_be_read(
    format_: DatasetFormat, skip: int, take: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a part of the file, where rows can be found in it."""
    monkeypatch.setattr(inspecting, "_BETWEEN_MARKS", 30_000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 20_000)
    rows = [{"text": f'row {number}, "quoted"'} for number in range(20_000)]
    data = {
        "csv": b"\xef\xbb\xbf" + pl.DataFrame(rows).write_csv().encode(),
        "txt": "\n".join(row["text"] for row in rows).encode(),
        "jsonl": "\n".join(json.dumps(row) for row in rows).encode(),
        "json": json.dumps(rows).encode(),
        "parquet": parquet(pl.DataFrame(rows), row_group_size=3_000),
    }[format_]
    marks = inspect(data, format_).marks
    part = excerpt(marks, len(data), RowRange(skip=skip, take=take))
    fetched = b"".join(data[start : start + length] for start, length in part.parts)
    assert read_rows(io.BytesIO(fetched), f"a.{format_}", format_, LIMITS, part.rows) == rows[skip : skip + take]
    if format_ in ("csv", "jsonl", "txt"):
        assert len(fetched) < len(data) / 2


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
