"""Whether a payload is done at all: what its condition says of an earlier response."""

import re

from contracts.workflows import ConditionSnapshot

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")


def holds(condition: ConditionSnapshot, response: str) -> bool:
    """The space around both texts does not count. A text without a number is neither above nor below one."""
    said, value = response.strip(), condition.value.strip()
    if condition.ignore_case:
        said, value = said.casefold(), value.casefold()
    match condition.operator:
        case "equals" | "not_equals":
            found = said == value
        case "contains" | "not_contains":
            found = value in said
        case "starts_with":
            found = said.startswith(value)
        case "ends_with":
            found = said.endswith(value)
        case "is_empty" | "is_not_empty":
            found = not said
        case "above" | "below":
            return _compares(said, value, above=condition.operator == "above")
    return found is not condition.operator.startswith(("not_", "is_not_"))


def _compares(said: str, value: str, *, above: bool) -> bool:
    left, right = _number(said), _number(value)
    if left is None or right is None:
        return False
    return left > right if above else left < right


def _number(text: str) -> float | None:
    """The first number in the text: models like to put words around it."""
    found = _NUMBER.search(text)
    return None if found is None else float(found[0])
