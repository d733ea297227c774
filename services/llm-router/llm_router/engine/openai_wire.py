"""OpenAI's API as bytes: requests, answers, errors. No I/O.

Source: https://platform.openai.com/docs/api-reference, and what vLLM, llama.cpp and Ollama make of it.
"""

import base64
import struct
import uuid
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, TypeGuard, cast

import orjson

from common.encoding import as_json
from contracts.router import Chat, ChatMessage, Choice, Embed, FinishReason, Usage
from llm_router.domain.engines import Answer, ModelCard, Question, Vectors
from llm_router.domain.failures import EngineFailure, FailureKind

_FLOAT_BYTES = 4
_LONGEST_MESSAGE = 1000
_MOST_MODELS = 2000
_LONGEST_NAME = 300
_MOST_TOKENS = 2**31 - 1
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

_READ = frozenset({"role", "content", "tool_calls", "function_call"})
"""Fields of a message that the platform reads itself."""

Json = dict[str, Any]

# Requests


def request_body(question: Question, model: str, *, stream: bool, hosted: bool = False) -> bytes:
    """The request body. What the contract names wins over `extra`, which is passed on as it is.

    `hosted` models of OpenAI's may know `max_completion_tokens` alone, others know `max_tokens` at least as well.
    """
    body: Json = dict(question.extra)
    body["model"] = model
    if isinstance(question, Chat):
        body["messages"] = [_set_fields(message) for message in question.messages]
        if question.response_format is not None:
            body["response_format"] = question.response_format
    else:
        body["prompt"] = question.prompt
    for name in ("temperature", "top_p", "max_tokens", "stop", "seed", "n"):
        if (value := getattr(question, name)) is not None:
            body[name] = value
    if "max_completion_tokens" in body:
        body.pop("max_tokens" if hosted else "max_completion_tokens", None)
    body["stream"] = stream
    if stream:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    else:
        body.pop("stream_options", None)
    return as_json(body)


def _set_fields(message: ChatMessage) -> Json:
    return {name: value for name, value in vars(message).items() if value is not None}


def embed_body(asked: Embed, model: str) -> bytes:
    """The request body of embeddings, which are asked for as base64: a quarter of the size of numbers as text."""
    body: Json = {**asked.extra, "model": model, "input": asked.inputs, "encoding_format": "base64"}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    return as_json(body)


# Answers


def read_answer(data: bytes) -> Answer:
    """An answer that is not streamed, of a chat or a text. Raises `EngineFailure(INVALID_ANSWER)` for anything else."""
    body = read_object(data)
    try:
        first, *others = body["choices"]
        if others:
            first, *others = sorted(body["choices"], key=itemgetter("index"))
        return Answer(
            id=answer_id(body),
            usage=read_usage(body.get("usage")),
            others=tuple(Choice(**_choice(choice)) for choice in others),
            **_choice(first),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise invalid_answer("is no completion") from error


def read_vectors(data: bytes, count: int) -> Vectors:
    """The embeddings of `count` inputs, which an engine may give as base64 or as numbers."""
    body = read_object(data)
    try:
        rows = sorted(body["data"], key=itemgetter("index"))
        if len(rows) != count:
            raise invalid_answer(f"has {len(rows)} embeddings for {count} inputs")
        return Vectors([_vector(row["embedding"]) for row in rows], read_usage(body.get("usage")))
    except (KeyError, TypeError, ValueError, AttributeError, struct.error, OverflowError) as error:
        raise invalid_answer("is no list of embeddings") from error


def other_fields(message: Json) -> Json:
    """What a message or a delta has besides what the platform reads itself."""
    if message.keys() <= _READ:
        return {}
    return {name: value for name, value in message.items() if name not in _READ and value is not None}


def read_logprobs(choice: Json) -> Json | None:
    logprobs = choice.get("logprobs")
    return logprobs if isinstance(logprobs, dict) else None


def _choice(choice: Json) -> Json:
    """The fields of a `Choice`. Raises TypeError for content that is no text, and calls that are no objects."""
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    content, calls = message.get("content") or "", message.get("tool_calls") or []
    if not (isinstance(content, str) and isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise TypeError("no message")
    return {
        "content": content,
        "tool_calls": calls or None,
        "finish_reason": finish_reason(choice.get("finish_reason")),
        "logprobs": read_logprobs(choice),
        "extra": other_fields(message),
    }


def _vector(embedding: object) -> str:
    if isinstance(embedding, str):
        if len(base64.b64decode(embedding, validate=True)) % _FLOAT_BYTES:
            raise ValueError("no whole number of floats")
        return embedding
    numbers = cast(list[float], embedding)
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def read_object(data: bytes) -> Json:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise invalid_answer("is not JSON") from None
    if not isinstance(body, dict):
        raise invalid_answer("is no JSON object")
    return body


def read_usage(usage: object) -> Usage:
    """Tokens as the engine reports them; zeros when it reports none."""
    if not isinstance(usage, dict):
        return Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def read_models(data: bytes) -> list[ModelCard]:
    """The rows of `GET /v1/models`, with vLLM's `max_model_len` and `parent`."""
    rows = read_object(data).get("data")
    if not isinstance(rows, list):
        raise invalid_answer("lists no models")
    return [_model_card(row) for row in rows[:_MOST_MODELS] if isinstance(row, dict) and is_name(row.get("id"))]


def is_name(name: object) -> TypeGuard[str]:
    """Whether a model of that name can be asked for and kept. An engine's others are no worse for one that cannot."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and "\0" not in name


def answer_id(body: Json) -> str:
    given = body.get("id")
    return given if isinstance(given, str) and given else f"chatcmpl-{uuid.uuid4().hex}"


def invalid_answer(why: str) -> EngineFailure:
    return EngineFailure(FailureKind.INVALID_ANSWER, f"The engine's answer {why}")


def _model_card(row: Json) -> ModelCard:
    length, parent, metadata = row.get("max_model_len"), row.get("parent"), row.get("metadata")
    return ModelCard(
        name=row["id"],
        max_tokens=length if is_count(length) and length > 0 else None,
        parent=parent if is_name(parent) else None,
        simulated=isinstance(metadata, dict) and metadata.get("simulated") is True,
    )


def finish_reason(reason: object) -> FinishReason | None:
    return _FINISH_REASONS.get(reason) if isinstance(reason, str) else None


def is_count(value: object) -> TypeGuard[int]:
    """Whether that many tokens can be, and be kept."""
    return isinstance(value, int) and 0 <= value <= _MOST_TOKENS


def _count(value: object) -> int:
    return value if is_count(value) else 0


# Errors


def read_error(status: int, data: bytes, retry_after: float | None) -> EngineFailure:
    """What an answer with an error status means."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    message, code = error_fields(body) if isinstance(body, dict) else ("", "")
    return failure_of(status, message, code, retry_after)


def failure_of(status: int, message: str, code: str, retry_after: float | None = None) -> EngineFailure:
    kind = _kind_of(status, message.lower(), code)
    if kind is FailureKind.AUTHENTICATION:
        # The engine's own words may quote a part of the token.
        return EngineFailure(kind, "The engine refused the platform's token")
    said = f": {message[:_LONGEST_MESSAGE]}" if message else ""
    if kind in (FailureKind.OVERLOADED, FailureKind.RATE_LIMITED) and retry_after is None:
        retry_after = 1.0
    return EngineFailure(kind, f"The engine answered with status {status}{said}", retry_after=retry_after)


def retry_after_seconds(value: str | None) -> float | None:
    """The `Retry-After` header in seconds. A date is not worth reading: None."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(seconds, 3600.0) if seconds >= 0 else None


def _kind_of(status: int, message: str, code: str) -> FailureKind:
    if code == "context_length_exceeded" or "maximum context length" in message or "context size" in message:
        return FailureKind.CONTEXT_LENGTH
    if code == "model_not_found" or (status == 404 and "model" in message):
        return FailureKind.MODEL_NOT_FOUND
    if code == "insufficient_quota" or status == 402:
        return FailureKind.QUOTA
    by_status = {
        401: FailureKind.AUTHENTICATION,
        403: FailureKind.AUTHENTICATION,
        404: FailureKind.INVALID_ANSWER,
        408: FailureKind.TIMEOUT,
        429: FailureKind.RATE_LIMITED,
        502: FailureKind.CONNECTION,
        503: FailureKind.OVERLOADED,
        504: FailureKind.TIMEOUT,
    }
    if (kind := by_status.get(status)) is not None:
        return kind
    if 400 <= status < 500:
        return FailureKind.INVALID_REQUEST
    return FailureKind.ENGINE_ERROR if status >= 500 else FailureKind.INVALID_ANSWER


def error_fields(body: Json) -> tuple[str, str]:
    """Message and code of an error body: OpenAI's, vLLM's older flat one, or a bare string."""
    error = body.get("error", body)
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    message = error.get("message") or error.get("detail") or ""
    codes = (error.get("code"), error.get("type"))
    known = next((code for code in codes if code in _KNOWN_CODES), "")
    return message if isinstance(message, str) else orjson.dumps(message).decode(), known


_KNOWN_CODES = ("model_not_found", "context_length_exceeded", "insufficient_quota")
