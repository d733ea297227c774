"""Answers in JSON from an engine that knows nothing of it: asked for in words, and checked before they are believed."""

import json
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from contracts.router import Chat, ChatMessage
from llm_router.domain.failures import EngineFailure, FailureKind

_ASKED = "Answer with JSON and nothing else: no explanation, no Markdown. It must be valid against this JSON schema:"
_WRONG = "That is not the JSON that was asked for: {problem}. Answer with the corrected JSON and nothing else."
_LONGEST_PROBLEM = 500
_MOST_STARTS = 50


class Unfit(Exception):
    """An answer that is not what was asked for, with the reason."""


@dataclass(frozen=True)
class Structure:
    """A JSON schema that an answer must fit."""

    schema: dict[str, Any]
    _validator: Any

    def read(self, text: str) -> str:
        """The JSON in an answer, as it was written. Raises `Unfit`."""
        written = _json_in(text)
        if (error := next(iter(self._validator.iter_errors(json.loads(written))), None)) is not None:
            place = "/".join(map(str, error.instance_path))
            raise Unfit(f"{place + ': ' if place else ''}{error.message}"[:_LONGEST_PROBLEM])
        return written


def structure_of(chat: Chat) -> Structure | None:
    """What the chat's `response_format` asks for; None for text. Raises `EngineFailure(INVALID_REQUEST)`."""
    wanted = chat.response_format or {}
    match wanted.get("type"):
        case None | "text":
            return None
        case "json_object":
            schema: Any = {"type": "object"}
        case "json_schema":
            schema = (wanted.get("json_schema") or {}).get("schema", {})
        case kind:
            raise _invalid(f"The engine of this model does not know the type {kind!r}")
    try:
        # Patterns run in linear time, and nothing is fetched that a schema refers to.
        validator = jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise _invalid(f"The JSON schema is not valid: {str(error).splitlines()[0]}") from None
    return Structure(schema, validator)


def instructed(chat: Chat, structure: Structure) -> Chat:
    """The chat with the format asked for in words, in its system message."""
    words = f"{_ASKED}\n{json.dumps(structure.schema, ensure_ascii=False)}"
    first, *rest = chat.messages
    if first.role in ("system", "developer") and isinstance(first.content, str):
        messages = [first.model_copy(update={"content": f"{first.content}\n\n{words}"}), *rest]
    else:
        messages = [ChatMessage(role="system", content=words), first, *rest]
    return chat.model_copy(update={"messages": messages, "response_format": None, "n": None})


def corrected(chat: Chat, answer: str, problem: str) -> Chat:
    """The chat that goes on by asking for what was wrong to be put right."""
    turns = [
        ChatMessage(role="assistant", content=answer),
        ChatMessage(role="user", content=_WRONG.format(problem=problem)),
    ]
    return chat.model_copy(update={"messages": [*chat.messages, *turns]})


def format_not_kept(problem: str) -> EngineFailure:
    return EngineFailure(
        FailureKind.FORMAT, f"The model's answer was not the JSON that was asked for, twice. At last: {problem}"
    )


def _json_in(text: str) -> str:
    """The first JSON object or array in `text`, which models like to put into a sentence or a fence."""
    stripped = text.strip()
    decoder = json.JSONDecoder()
    starts = [place for place, character in enumerate(stripped) if place == 0 or character in "{["]
    for start in starts[:_MOST_STARTS]:
        try:
            _, end = decoder.raw_decode(stripped, start)
        except (ValueError, RecursionError):
            continue
        return stripped[start:end]
    raise Unfit("it holds no complete JSON")


def _invalid(message: str) -> EngineFailure:
    failure = EngineFailure(FailureKind.INVALID_REQUEST, message)
    failure.metadata["param"] = "response_format"
    return failure
