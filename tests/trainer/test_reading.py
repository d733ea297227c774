"""Files of every format become one table of text; empty and broken ones are refused with the place."""

import json
from pathlib import Path

import polars as pl
import pytest

from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from trainer.engine.reading import detect_format, read_table


def _file(folder: Path, content: str | bytes, name: str = "data") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


_ROWS = [{"q": "What?", "a": "007"}, {"q": 'Say "hi",\nplease', "a": "ö"}]


def _written(folder: Path, format_: DatasetFormat) -> Path:
    table = pl.DataFrame(_ROWS)
    file = folder / f"data.{format_}"
    match format_:
        case "csv":
            table.write_csv(file)
        case "tsv":
            table.write_csv(file, separator="\t")
        case "parquet":
            table.write_parquet(file)
        case "json":
            file.write_text(json.dumps(_ROWS))
        case "jsonl":
            file.write_text("\n".join(map(json.dumps, _ROWS)))
        case _:
            raise ValueError(format_)
    return file


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_reads_back_the_same_rows(tmp_path: Path, format_: DatasetFormat) -> None:
    file = _written(tmp_path, format_)
    assert detect_format(file, file.name) == format_
    assert read_table(file, format_).to_dicts() == _ROWS


@pytest.mark.parametrize("format_", ["tsv", "json", "jsonl", "parquet"])
def test_the_format_is_seen_without_a_file_ending(tmp_path: Path, format_: DatasetFormat) -> None:
    assert detect_format(_written(tmp_path, format_), "upload") == format_


def test_json_lines_under_a_json_ending_are_recognised(tmp_path: Path) -> None:
    assert detect_format(_written(tmp_path, "jsonl"), "data.json") == "jsonl"


def test_text_gives_a_row_for_every_line_that_says_something(tmp_path: Path) -> None:
    file = _file(tmp_path, "one\n\n  \ntwo\u2028too\r\n")
    assert detect_format(file, "notes.txt") == "txt"
    assert read_table(file, "txt").to_dicts() == [{"text": "one"}, {"text": "two\u2028too"}]


def test_semicolons_separate_where_the_header_says_so(tmp_path: Path) -> None:
    assert read_table(_file(tmp_path, "a;b\n1,5;x\n"), "csv").to_dicts() == [{"a": "1,5", "b": "x"}]


def test_an_empty_field_is_missing(tmp_path: Path) -> None:
    assert read_table(_file(tmp_path, "a,b\n,x\n"), "csv").to_dicts() == [{"a": None, "b": "x"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_decoded(tmp_path: Path, encoding: str) -> None:
    file = _file(tmp_path, "q,a\nschön,ja\n".encode(encoding))
    assert read_table(file, "csv").to_dicts() == [{"q": "schön", "a": "ja"}]


def test_bytes_of_another_encoding_become_replacement_characters(tmp_path: Path) -> None:
    assert read_table(_file(tmp_path, "q\nsch\xf6n\n".encode("latin-1")), "csv")["q"][0] == "sch\ufffdn"


def test_values_become_text_and_nested_ones_their_json(tmp_path: Path) -> None:
    row = {"n": 1, "f": 0.5, "b": True, "none": None, "chat": [{"role": "user", "content": "hi"}]}
    table = read_table(_file(tmp_path, json.dumps(row)), "jsonl")
    assert set(table.dtypes) == {pl.String}
    assert table.to_dicts() == [
        {"n": "1", "f": "0.5", "b": "true", "none": None, "chat": '[{"role":"user","content":"hi"}]'}
    ]


def test_nested_parquet_columns_become_json(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    pl.DataFrame({"chat": [[{"role": "user", "content": "hi"}]], "n": [3]}).write_parquet(file)
    assert read_table(file, "parquet").to_dicts() == [{"chat": '[{"role":"user","content":"hi"}]', "n": "3"}]


@pytest.mark.parametrize(
    "value",
    [{"data": _ROWS}, {"version": 1, "data": _ROWS}, {"q": [r["q"] for r in _ROWS], "a": [r["a"] for r in _ROWS]}],
)
def test_json_objects_that_hold_rows_or_columns_are_read(tmp_path: Path, value: object) -> None:
    assert read_table(_file(tmp_path, json.dumps(value)), "json").to_dicts() == _ROWS


def test_rows_may_have_different_fields(tmp_path: Path) -> None:
    assert read_table(_file(tmp_path, '{"a":"1"}\n{"b":"2"}'), "jsonl").to_dicts() == [
        {"a": "1", "b": None},
        {"a": None, "b": "2"},
    ]


@pytest.mark.parametrize(
    ("content", "format_", "message"),
    [
        ("", "csv", "empty"),
        ("a,b\n", "csv", "no rows"),
        ("\n\n", "csv", "no rows"),
        ("a,b\n1,2,3\n", "csv", "not valid CSV"),
        (b"\x00\x01\x02PK", "csv", "not text"),
        ('{"a": 1}\n{"a": ', "jsonl", "line 2"),
        ("[1, 2]", "json", "row 1"),
        ("[]", "json", "no rows"),
        ('{"a": 1', "json", "line 1"),
        ('"text"', "json", "no list"),
        ("PAR1 but nothing else", "parquet", "not valid PARQUET"),
        ("\n \n", "txt", "no rows"),
    ],
)
def test_what_is_empty_or_broken_is_refused(
    tmp_path: Path, content: str | bytes, format_: DatasetFormat, message: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        read_table(_file(tmp_path, content), format_)
    assert refused.value.code is RefusalCode.DATASET_INVALID
