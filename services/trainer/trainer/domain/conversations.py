"""From the rows of a table to conversations: whatever the columns are called, and however a chat is written down."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.base import RefusalCode, Refused
from contracts.pipeline import Template

Role = Literal["system", "user", "assistant"]
Row = Mapping[str, str | None]

REQUIRED_FIELDS = ("instruction", "output")
REJECTED_FIELD = "rejected"
OPTIONAL_FIELDS = ("input", "system", REJECTED_FIELD)
_USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "instruction": ("question", "prompt", "query"),
    "output": ("answer", "response", "completion", "chosen"),
}
"""What else columns are called that hold the required fields."""
INPUT_HEADING = "\n\n### Input:\n"
"""Between an instruction and its input, as Alpaca writes it."""

_CONVERSATION_FIELDS: Mapping[Template, tuple[str, ...]] = {
    "sharegpt": ("conversations", "messages"),
    "messages": ("messages", "conversations"),
}
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}


@dataclass(frozen=True)
class Turn:
    """One message of a conversation. `rejected` is an answer that is worse than the `content`, where one is known."""

    role: Role
    content: str
    rejected: str | None = None


Conversation = tuple[Turn, ...]
"""A system message or none, then questions and answers in turn; the last is an answer."""


def fields_of(template: Template, columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Which column each field of the template is read from; a field that is not mapped takes the column of its name.

    Where neither question nor answer is mapped, they take columns of other names that are usual for them. Raises
    `Refused(CONFIG_INVALID)` that names the columns, when the mapping and the data do not fit together.
    """
    conversation = conversation_fields(template, columns, mapping)
    if conversation:
        return resolve(columns, mapping, required=conversation, optional=())
    if mapping.keys().isdisjoint(REQUIRED_FIELDS):
        mapping = {**_usual_columns(columns), **mapping}
    return resolve(columns, mapping, required=REQUIRED_FIELDS, optional=OPTIONAL_FIELDS)


def _usual_columns(columns: Sequence[str]) -> dict[str, str]:
    return {
        field: next(name for name in names if name in columns)
        for field, names in _USUAL_NAMES.items()
        if field not in columns and not {*names}.isdisjoint(columns)
    }


def conversation_fields(template: Template, columns: Sequence[str], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The one field that holds whole conversations, or nothing when the rows are questions with answers."""
    names = _CONVERSATION_FIELDS.get(template)
    if names is not None:
        return next(((name,) for name in names if name in mapping or name in columns), names[:1])
    # The templates of a model's own form take either; a column of conversations says which.
    names = _CONVERSATION_FIELDS["messages"]
    known = {*mapping, *columns}
    if known.intersection(REQUIRED_FIELDS):
        return ()
    return next(((name,) for name in names if name in known), ())


def resolve(
    columns: Sequence[str], mapping: Mapping[str, str], *, required: Sequence[str], optional: Sequence[str]
) -> dict[str, str]:
    """Field → column. Raises `Refused(CONFIG_INVALID)` for a field or column that there is not."""
    there_are = f"the data has {', '.join(columns)}"
    fields = (*required, *optional)
    errors = [
        {"field": f"template_mapping.{field}", "message": f"no such field; the template has {', '.join(fields)}"}
        for field in mapping
        if field not in fields
    ]
    errors += [
        {"field": f"template_mapping.{field}", "message": f"no column {column!r}; {there_are}"}
        for field, column in mapping.items()
        if field in fields and column not in columns
    ]
    errors += [
        {"field": f"template_mapping.{field}", "message": f"needed, since no column has this name; {there_are}"}
        for field in required
        if field not in mapping and field not in columns
    ]
    if errors:
        summary = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
        metadata = {"errors": errors, "columns": list(columns)}
        raise Refused(RefusalCode.CONFIG_INVALID, f"The template does not fit the data: {summary}", metadata)
    return {field: mapping.get(field, field) for field in fields if field in mapping or field in columns}


def read_row(row: Row, fields: Mapping[str, str], tidy: Callable[[str], str]) -> Conversation | None:
    """The row as a conversation, every text through `tidy`; None when it holds no whole question and answer."""
    if "output" not in fields:
        return _read_chat(row.get(next(iter(fields.values()))), tidy)
    values = {field: tidy(row.get(column) or "") for field, column in fields.items()}
    if not values["instruction"].strip() or not values["output"].strip():
        return None
    if REJECTED_FIELD in fields and not values[REJECTED_FIELD].strip():
        return None
    question = values["instruction"] + (INPUT_HEADING + values["input"] if values.get("input") else "")
    system = (Turn("system", values["system"]),) if values.get("system") else ()
    return (*system, Turn("user", question), Turn("assistant", values["output"], values.get(REJECTED_FIELD)))


def _read_chat(text: str | None, tidy: Callable[[str], str]) -> Conversation | None:
    try:
        messages = json.loads(text or "")
        turns = [_turn(message, tidy) for message in messages]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    while turns and turns[-1].role != "assistant":
        turns.pop()
    return tuple(turns) if _is_whole(turns) else None


def _turn(message: Mapping[str, object], tidy: Callable[[str], str]) -> Turn:
    """Either form: `{"role", "content"}`, or ShareGPT's `{"from", "value"}`. Raises KeyError and TypeError."""
    role, content = (message["role"], message["content"]) if "role" in message else (message["from"], message["value"])
    if not isinstance(role, str) or not isinstance(content, str):
        raise TypeError("a turn is text")
    return Turn(_ROLES[role.casefold()], tidy(content))


def _is_whole(turns: Sequence[Turn]) -> bool:
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    alternate = all(turn.role == ("user", "assistant")[index % 2] for index, turn in enumerate(spoken))
    return bool(spoken) and alternate and all(turn.content.strip() for turn in turns)
