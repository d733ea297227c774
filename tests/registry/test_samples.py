"""The first rows as a preview shows them."""

import orjson
import pytest

from contracts.base import Refused
from registry.domain.samples import MAX_SAMPLE_BYTES, samples_of


def test_rows_that_fit_are_shown_whole() -> None:
    rows = [{"text": "x" * 4_000, "n": i} for i in range(100)]
    assert samples_of(rows) == rows


def test_of_rows_that_do_not_fit_only_the_long_values_are_cut() -> None:
    rows = [{"text": "é" * 20_000, "n": i, "list": ["y" * 20_000]} for i in range(99)] + [{"text": "short", "n": 99}]
    samples = samples_of(rows)
    assert len(orjson.dumps(samples)) <= MAX_SAMPLE_BYTES + 200
    assert [sample["n"] for sample in samples] == list(range(100))
    assert samples[0]["text"].startswith("éééé")
    assert samples[0]["text"].endswith("…")
    assert samples[0]["list"].startswith('["yyyy')
    assert samples[99] == {"text": "short", "n": 99}


def test_a_single_row_has_all_the_room() -> None:
    row = {"text": "x" * (MAX_SAMPLE_BYTES - 20)}
    assert samples_of([row]) == [row]


@pytest.mark.parametrize("character", ["\0", "\\", "é", "🙂", "\u2028"])
def test_characters_that_grow_as_json_stay_within_bounds(character: str) -> None:
    samples = samples_of([{"text": character * 300_000}] * 10)
    assert len(samples) == 10
    assert len(orjson.dumps(samples)) <= MAX_SAMPLE_BYTES + 200


def test_of_rows_with_too_many_columns_the_last_are_left_out() -> None:
    rows = [{f"column {i}": "x" * 200 for i in range(512)} for _ in range(100)]
    samples = samples_of(rows)
    assert 0 < len(samples) < 100
    assert len(orjson.dumps(samples)) <= MAX_SAMPLE_BYTES + 200


def test_a_row_that_is_nested_too_deeply_is_refused() -> None:
    value: object = 1
    for _ in range(400):
        value = [value]
    with pytest.raises(Refused, match="too deeply"):
        samples_of([{"a": value}])
