"""Files of every format become one table of text; empty and broken ones are refused with the place."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest

from common.datafiles.limits import Limits
from common.datafiles.parts import PART_ROWS
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from trainer.engine.reading import take_in

LIMITS = Limits()


def _taken(file: Path, stated: DatasetFormat | None = None, limits: Limits = LIMITS) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        return pl.read_parquet(take_in(file, file.name, stated, limits, Path(folder)).path)


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
    assert _taken(file).to_dicts() == _ROWS


def test_text_gives_a_row_for_every_line_that_says_something(tmp_path: Path) -> None:
    file = _file(tmp_path, "one\n\n  \ntwo\u2028too\r\n", "notes.txt")
    assert _taken(file).to_dicts() == [{"text": "one"}, {"text": "two\u2028too"}]


def test_columns_that_come_late_are_columns_of_all_rows(tmp_path: Path) -> None:
    """A part of the file is read at a time, and what it lacks is missing there."""
    rows = [{"a": str(number)} for number in range(PART_ROWS + 1)] + [{"b": "1", "a": "x"}] * PART_ROWS + [{"c": None}]
    table = _taken(_file(tmp_path, "\n".join(map(json.dumps, rows))), "jsonl")
    assert table.columns == ["a", "b", "c"]
    assert table["a"].to_list() == [row.get("a") for row in rows]
    assert (table["b"].null_count(), table["c"].null_count()) == (PART_ROWS + 2, len(rows))


def test_a_file_takes_the_memory_of_some_of_its_rows(tmp_path: Path) -> None:
    text = "x" * 2_000
    file = tmp_path / "data.csv"
    with file.open("w") as writer:
        writer.write("n,text\n")
        writer.writelines(f'{number},"{text}"\n' for number in range(100_000))
    done = subprocess.run([sys.executable, "-c", _GROWTH, file], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < file.stat().st_size / 2


_GROWTH = """
import resource, sys
from pathlib import Path
from common.datafiles.limits import Limits
from trainer.engine.reading import take_in

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

file = Path(sys.argv[1])
small = file.with_name("small.csv")
small.write_bytes(file.read_bytes()[:20_000].rpartition(b"\\n")[0])
take_in(small, small.name, None, Limits(), file.parent)
before = most()
assert take_in(file, file.name, None, Limits(), file.parent).rows == 100_000
print(most() - before)
"""


def test_semicolons_separate_where_the_header_says_so(tmp_path: Path) -> None:
    assert _taken(_file(tmp_path, "a;b\n1,5;x\n"), "csv").to_dicts() == [{"a": "1,5", "b": "x"}]


def test_an_empty_field_is_missing(tmp_path: Path) -> None:
    assert _taken(_file(tmp_path, "a,b\n,x\n"), "csv").to_dicts() == [{"a": None, "b": "x"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_decoded(tmp_path: Path, encoding: str) -> None:
    file = _file(tmp_path, "q,a\nschön,ja\n".encode(encoding))
    assert _taken(file, "csv").to_dicts() == [{"q": "schön", "a": "ja"}]


def test_bytes_of_another_encoding_become_replacement_characters(tmp_path: Path) -> None:
    assert _taken(_file(tmp_path, "q\nsch\xf6n\n".encode("latin-1")), "csv")["q"][0] == "sch\ufffdn"


def test_values_become_text_and_nested_ones_their_json(tmp_path: Path) -> None:
    row = {"n": 1, "f": 0.5, "b": True, "none": None, "chat": [{"role": "user", "content": "hi"}]}
    table = _taken(_file(tmp_path, json.dumps(row)), "jsonl")
    assert set(table.dtypes) == {pl.String}
    assert table.to_dicts() == [
        {"n": "1", "f": "0.5", "b": "true", "none": None, "chat": '[{"role":"user","content":"hi"}]'}
    ]


def test_nested_parquet_columns_become_json(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    pl.DataFrame({"chat": [[{"role": "user", "content": "hi"}]], "n": [3]}).write_parquet(file)
    assert _taken(file, "parquet").to_dicts() == [{"chat": '[{"role":"user","content":"hi"}]', "n": "3"}]


@pytest.mark.parametrize(
    "value",
    [{"data": _ROWS}, {"version": 1, "data": _ROWS}, {"q": [r["q"] for r in _ROWS], "a": [r["a"] for r in _ROWS]}],
)
def test_json_objects_that_hold_rows_or_columns_are_read(tmp_path: Path, value: object) -> None:
    assert _taken(_file(tmp_path, json.dumps(value)), "json").to_dicts() == _ROWS


def test_what_the_registry_may_take_is_read_however_wide(tmp_path: Path) -> None:
    file = _file(tmp_path, ",".join(f"c{number}" for number in range(10_001)) + "\n" + "," * 10_000 + "\n")
    with pytest.raises(Refused, match="more than 10000 columns"):
        _taken(file, "csv")
    assert _taken(file, "csv", Limits(max_columns=10_001)).width == 10_001


def test_rows_may_have_different_fields(tmp_path: Path) -> None:
    assert _taken(_file(tmp_path, '{"a":"1"}\n{"b":"2"}'), "jsonl").to_dicts() == [
        {"a": "1", "b": None},
        {"a": None, "b": "2"},
    ]


@pytest.mark.parametrize(
    ("content", "format_", "message"),
    [
        ("", "csv", "empty"),
        ("a,b\n", "csv", "no rows"),
        ("\n\n", "csv", "white space"),
        ("a,b\n1,2,3\n", "csv", "Line 2 has 3 fields"),
        ("a,b\n1\n", "csv", "Line 2 has 1 fields"),
        (b"\x00\x01\x02PK", "csv", "binary"),
        ('{"a": 1}\n{"a": ', "jsonl", "Line 2"),
        ("[1, 2]", "json", "Row 1"),
        ("[]", "json", "no rows"),
        ("[{}, {}]", "json", "no rows"),
        ('{"a": 1', "json", "Line 1"),
        ('"text"', "json", "not an array of rows|not JSON"),
        ('{"a": ' + "[" * 900 + "]" * 900 + "}", "jsonl", "nested too deeply"),
        ("PAR1 but nothing else", "parquet", "not valid Parquet"),
        ("\n \n", "txt", "white space"),
    ],
)
def test_what_is_empty_or_broken_is_refused(
    tmp_path: Path, content: str | bytes, format_: DatasetFormat, message: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        _taken(_file(tmp_path, content), format_)
    assert refused.value.code is RefusalCode.DATASET_INVALID
