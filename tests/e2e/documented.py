"""Holds answers to what the documents print: every documented field, of the documented type. More fields may come."""

import re
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ISO = "string (ISO datetime)"


def conforms(answer: Any, documented: Any, place: str = "answer") -> None:
    """Raises AssertionError unless `answer` has the form of `documented`.

    That is an example, or names types as document B does: "integer", "number", "string", "string (ISO datetime)". With
    "|null" behind it a value may be null.
    """
    match documented:
        case dict():
            assert isinstance(answer, dict), f"{place} is not an object: {answer!r}"
            for name, value in documented.items():
                assert name in answer, f"{place} lacks {name}"
                conforms(answer[name], value, f"{place}.{name}")
        case [first, *_]:
            assert isinstance(answer, list), f"{place} is not a list: {answer!r}"
            assert answer, f"{place} is empty"
            for position, item in enumerate(answer):
                conforms(item, first, f"{place}.{position}")
        case str() if documented.endswith("|null"):
            if answer is not None:
                conforms(answer, documented.removesuffix("|null"), place)
        case _:
            assert _fits(answer, documented), f"{place} is {answer!r} and not like {documented!r}"


def _fits(answer: Any, documented: Any) -> bool:
    if documented == _ISO or (isinstance(documented, str) and _MOMENT.fullmatch(documented)):
        return isinstance(answer, str) and _MOMENT.fullmatch(answer) is not None
    kind: Any = {"integer": int, "number": (int, float)}.get(documented) if isinstance(documented, str) else None
    if kind is None:
        kind = (int, float) if isinstance(documented, float) else type(documented)
    return isinstance(answer, kind) and isinstance(answer, bool) == isinstance(documented, bool)
