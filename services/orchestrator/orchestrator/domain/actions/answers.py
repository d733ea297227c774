"""From what a model wrote to the form that was asked for: JSON is looked for generously, and taken strictly.

Nothing is made up: an answer that lacks a part is not given one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.domain.actions.purposes import Field, Form, Text, TextByName, Texts

_DECODER = json.JSONDecoder(strict=False)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_MOST_STARTS = 50
"""Braces that are tried: a text without JSON must not take quadratic time."""


class Misshapen(Exception):
    """The answer has not the form that was asked for. The message tells the model, or a person, why."""


def shaped(text: str, wanted: Form) -> dict[str, Any]:
    """The fields of `wanted` from the text. Raises `Misshapen`."""
    found = list(_objects(text))
    if not found:
        raise Misshapen("there is no JSON object in it")
    failure: Misshapen | None = None
    for candidate in found:
        for one in (candidate, *(inner for inner in candidate.values() if isinstance(inner, dict))):
            try:
                return _fields(one, wanted)
            except Misshapen as misshapen:
                failure = failure or misshapen
    raise failure or Misshapen("it has not the form that was asked for")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in the text, in order; where there are none, those that commas too many spoil."""
    found = list(_decoded(text))
    yield from found or _decoded(_TRAILING_COMMA.sub("", text))


def _decoded(text: str) -> Iterator[dict[str, Any]]:
    start = text.find("{")
    for _ in range(_MOST_STARTS):
        if start < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if value:
                yield value
        start = text.find("{", end)


def _fields(found: Mapping[str, Any], wanted: Form) -> dict[str, Any]:
    by_name = {_plain(name): value for name, value in reversed(list(found.items()))}
    missing = [name for name in wanted if by_name.get(_plain(name)) is None]
    if missing:
        raise Misshapen(f"it lacks {', '.join(missing)}")
    return {name: _value(name, by_name[_plain(name)], field) for name, field in wanted.items()}


def _value(name: str, value: Any, field: Field) -> Any:
    match field:
        case Text():
            return _text(name, value)
        case Texts():
            return _texts(name, value, field)
        case TextByName():
            if not isinstance(value, dict):
                raise Misshapen(f"{name} must be an object")
            return _fields(value, {each: Text(field.about) for each in field.names})


def _text(name: str, value: Any) -> str:
    """A text, or a list of lines, or the first text of an object, such as `{"text": …}`."""
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if isinstance(value, dict):
        value = next((part for part in value.values() if isinstance(part, str)), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise Misshapen(f"{name} must be a text")
    # JSON can name halves of characters, which are no text.
    return value.strip().encode(errors="replace").decode()


def _texts(name: str, value: Any, field: Texts) -> list[str]:
    """A list, or a text with one item in each line, or with commas between them."""
    if isinstance(value, str):
        parted = value.splitlines() if field.lines or "\n" in value else value.split(",")
        value = [_BULLET.sub("", part) for part in parted if part.strip()]
    if not isinstance(value, list) or not value:
        raise Misshapen(f"{name} must be a list of texts that is not empty")
    return [_text(name, item) for item in value]


def _plain(name: str) -> str:
    """Names that a model may take for the same: `meta_description`, `Meta description`, `metaDescription`."""
    return (re.sub(r"[\W_]", "", name) or name).casefold()
