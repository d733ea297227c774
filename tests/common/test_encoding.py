"""JSON of what others have sent."""

import pytest

from common.encoding import as_json


@pytest.mark.parametrize("value", [2**64 - 1, 2**70, -(2**70)])
def test_numbers_of_any_size_are_written(value: int) -> None:
    assert as_json({"a": [value, "ä"]}) == f'{{"a":[{value},"ä"]}}'.encode()


def test_what_json_has_no_numbers_for_is_null_whatever_stands_beside_it() -> None:
    assert as_json([float("inf")]) == b"[null]"
    assert as_json([float("inf"), 2**70]) == f"[null,{2**70}]".encode()
