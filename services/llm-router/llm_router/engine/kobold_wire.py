"""KoboldAI's API as bytes: requests, answers, stream frames. No I/O.

Source: https://lite.koboldai.net/koboldcpp_api
"""

from typing import Any

from common.encoding import as_json
from contracts.router import Chat, FinishReason, Usage
from llm_router.domain.engines import Question
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.instruct import STOPS, instruct_prompt, refuse_beyond_text
from llm_router.engine.openai_wire import invalid_answer, is_count, is_name, read_object

USUAL_LENGTH = 1024
"""Tokens that are made at most when nobody says how many: the API has no "as many as there is room for"."""
_NO_MODEL = ("inactive", "ReadOnly")
"""What a server calls its model when it has none."""


def prompt_of(question: Question) -> str:
    """The text to go on with. Raises `EngineFailure(INVALID_REQUEST)` for what this API cannot be asked."""
    if question.choices_asked != 1:
        raise EngineFailure(FailureKind.INVALID_REQUEST, "A KoboldAI engine makes one choice at a time: n must be 1")
    if isinstance(question, Chat):
        return instruct_prompt(question)
    refuse_beyond_text(question.extra)
    prompt = question.prompts[0]
    if not isinstance(prompt, str):
        raise EngineFailure(FailureKind.INVALID_REQUEST, "A KoboldAI engine takes text, no token ids")
    return prompt


def stops_of(question: Question) -> list[str]:
    return [*(question.stop or ()), *(STOPS if isinstance(question, Chat) else ())]


def generate_body(question: Question, prompt: str, key: str, length: int, context: int | None) -> bytes:
    """`key` names the generation, so that it can be aborted; `length` and `context` are tokens."""
    optional = {
        "temperature": question.temperature,
        "top_p": question.top_p,
        "sampler_seed": question.seed,
        "max_context_length": context,
    }
    body: dict[str, Any] = {"prompt": prompt, "max_length": length, "stop_sequence": stops_of(question), "genkey": key}
    return as_json(body | {name: value for name, value in optional.items() if value is not None})


def read_result(data: bytes) -> tuple[str, FinishReason, Usage | None]:
    """Text, reason and, from servers that count, the tokens. Raises `EngineFailure(INVALID_ANSWER)`."""
    results = read_object(data).get("results")
    first = results[0] if isinstance(results, list) and results else None
    if not isinstance(first, dict) or not isinstance(first.get("text"), str):
        raise invalid_answer("is no generation")
    prompt, made = first.get("prompt_tokens"), first.get("completion_tokens")
    usage = tokens(prompt, made) if is_count(prompt) and is_count(made) else None
    return first["text"], _reason(first.get("finish_reason")) or "stop", usage


def read_token(payload: bytes) -> tuple[str, FinishReason | None]:
    """One streamed event: its text, and in the last one why the engine stopped."""
    event = read_object(payload)
    token = event.get("token")
    if not isinstance(token, str):
        raise invalid_answer("has an event without a token")
    return token, _reason(event.get("finish_reason"))


def read_model(data: bytes) -> str | None:
    """The name of the loaded model; None when the server has none."""
    name = read_object(data).get("result")
    if name == "" or name in _NO_MODEL:
        return None
    if not is_name(name):
        raise invalid_answer("names no model")
    return name


def read_value(data: bytes) -> int | None:
    """The one number of an answer."""
    value = read_object(data).get("value")
    return value if is_count(value) else None


def tokens(prompt: int, made: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=made, total_tokens=prompt + made)


def _reason(reason: object) -> FinishReason | None:
    """Older servers say `null` as text while they go on."""
    if not isinstance(reason, str) or reason in ("", "null"):
        return None
    return "length" if reason == "length" else "stop"
