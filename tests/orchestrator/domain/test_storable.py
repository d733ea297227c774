"""What callers give that could not be kept, or not be shown again."""

import json
from typing import Any

from orchestrator.domain.storable import unstorable


def _nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


def test_places_that_cannot_be_kept_are_named() -> None:
    found = list(unstorable({"a": ["x\0", 2**63, float("nan"), 1]}, "inputs"))
    assert [error["field"] for error in found] == ["inputs.a.0", "inputs.a.1", "inputs.a.2"]


def test_what_no_list_could_show_for_its_depth_is_refused() -> None:
    assert list(unstorable({"a": _nested(99)}, "inputs")) == []
    assert list(unstorable({"a": _nested(100)}, "inputs")) == [
        {"field": "inputs", "message": "must not be nested more than 100 levels deep"}
    ]
