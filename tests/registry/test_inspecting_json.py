"""JSON is read through a window, wherever its rows begin and end."""

import io
import json
from typing import Any, cast

import pytest

from common.datafiles import json_arrays, json_blocks
from common.datafiles.limits import Limits
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from tests.registry.files import LIMITS, inspect, refusal


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
    sizes = [part.rows for part in json_arrays.read_json(io.BytesIO(data), LIMITS)]
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


def test_rows_read_in_blocks_and_one_by_one_are_duplicates_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[Any] = ["x", "é\n", 5, 0.5, True, None]
    rows = [{"a": value, "b": f"{number}"} for number in range(40) for value in values]
    plain = sorted(rows, key=lambda row: str(type(row["a"])))
    data = "\n".join(json.dumps(row) for row in [*plain, *rows, *({"b": row["b"], "a": row["a"]} for row in rows)])
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", 300)
    quick = inspect(data, "jsonl").analysis
    monkeypatch.setattr("common.datafiles.json_lines.parse", lambda lines, limits: None)
    careful = inspect(data, "jsonl").analysis
    assert quick == careful
    assert (quick.rows, quick.duplicate_rows, quick.column_types["a"]) == (720, 480, "mixed")
