"""Prompt templates: text with named variables in braces. Rendering puts values in their places, evaluating nothing."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from contracts.base import RefusalCode, Refused

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN = 40
_ESCAPES = {"{{": "{", "}}": "}"}
LONGEST = 1_000_000
"""Characters of a prompt with its values: more than any model reads, and far less than a bus or a machine holds."""


def variables(template: str, *, field: str = "content") -> list[str]:
    """The names of the variables, in order, each once.

    Raises `Refused(INVALID)`, with the name of the `field`, for anything else in braces.
    """
    names: dict[str, None] = {}
    errors: list[str] = []
    for token in _TOKEN.finditer(template):
        if token[0] in _ESCAPES:
            continue
        if token[1] is None:
            errors.append(f"the brace at {_place(template, token)} has no partner: write {token[0] * 2} for a brace")
        elif _NAME.fullmatch(token[1]):
            names[token[1]] = None
        else:
            errors.append(
                f"{token[0][:_SHOWN]} at {_place(template, token)} is not a variable: those are letters, digits and"
                " underscores alone, like {topic}; write {{ and }} for braces"
            )
    if errors:
        raise Refused(
            RefusalCode.INVALID,
            "The prompt is not a valid template",
            {"errors": [{"field": field, "message": message} for message in errors[:10]]},
        )
    return list(names)


def render(template: str, values: Mapping[str, Any]) -> str:
    """The template with its variables replaced.

    Raises `Refused(INVALID)`: naming all that `values` lacks, or for a whole that is too long.
    """
    names = variables(template)
    if missing := [name for name in names if values.get(name) is None]:
        raise Refused(
            RefusalCode.INVALID,
            f"Missing variables: {', '.join(missing)}",
            {"errors": [{"field": f"input_data.{name}", "message": "field required"} for name in missing]},
        )

    texts = {name: text(values[name]) for name in names}
    # Counted before it is made: a template can repeat a long value any number of times.
    length = len(template) + sum(len(texts[token[1]]) for token in _TOKEN.finditer(template) if token[1] is not None)
    if length > LONGEST:
        raise too_long(length)

    def replaced(token: re.Match[str]) -> str:
        return _ESCAPES[token[0]] if token[0] in _ESCAPES else texts[token[1]]

    return _TOKEN.sub(replaced, template)


def too_long(length: int) -> Refused:
    message = f"with these values the prompt has some {length} characters; {LONGEST} are allowed"
    error = {"field": "input_data", "message": message}
    return Refused(RefusalCode.INVALID, "The prompt is too long", {"errors": [error]})


def text(value: Any) -> str:
    """A value as a prompt has it: texts as they are, lists of texts with commas, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return orjson.dumps(value).decode()


def _place(template: str, token: re.Match[str]) -> str:
    line = template.count("\n", 0, token.start()) + 1
    column = token.start() - (template.rfind("\n", 0, token.start()) + 1) + 1
    return f"line {line}, column {column}"
