"""OpenAI's chat API as bytes: requests, answers, stream frames, errors. No I/O.

Source: https://platform.openai.com/docs/api-reference/chat, and what vLLM, llama.cpp and Ollama make of it.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from contracts.router import Chat, FinishReason, Usage
from llm_router.domain.engines import Answer, Delta, ModelCard
from llm_router.domain.failures import EngineFailure, FailureKind

DONE = b"[DONE]"
_LONGEST_LINE = 8 * 1024 * 1024
_LONGEST_MESSAGE = 1000
_MOST_MODELS = 2000
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

Json = dict[str, Any]

# Requests


def chat_body(chat: Chat, model: str, *, stream: bool) -> bytes:
    """The request body. What the contract names wins over `extra`, which is passed on as it is."""
    body: Json = dict(chat.extra)
    body["model"] = model
    body["messages"] = [message.model_dump(exclude_none=True) for message in chat.messages]
    for name in ("temperature", "top_p", "max_tokens", "stop", "seed"):
        if (value := getattr(chat, name)) is not None:
            body[name] = value
    body["stream"] = stream
    if stream:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    else:
        body.pop("stream_options", None)
    return orjson.dumps(body)


# Answers


def read_answer(data: bytes) -> Answer:
    """The answer that is not streamed. Raises `EngineFailure(INVALID_ANSWER)` for anything else."""
    body = read_object(data)
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
        return Answer(
            id=answer_id(body),
            content=content if isinstance(content, str) else "",
            tool_calls=message.get("tool_calls") or None,
            finish_reason=_finish_reason(choice.get("finish_reason")),
            usage=read_usage(body.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise invalid_answer("is no chat completion") from error


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
    return [_model_card(row) for row in rows[:_MOST_MODELS] if isinstance(row, dict) and isinstance(row.get("id"), str)]


def answer_id(body: Json) -> str:
    given = body.get("id")
    return given if isinstance(given, str) and given else f"chatcmpl-{uuid.uuid4().hex}"


def invalid_answer(why: str) -> EngineFailure:
    return EngineFailure(FailureKind.INVALID_ANSWER, f"The engine's answer {why}")


def _model_card(row: Json) -> ModelCard:
    length, parent, metadata = row.get("max_model_len"), row.get("parent"), row.get("metadata")
    return ModelCard(
        name=row["id"],
        max_tokens=length if isinstance(length, int) and length > 0 else None,
        parent=parent if isinstance(parent, str) else None,
        simulated=isinstance(metadata, dict) and metadata.get("simulated") is True,
    )


def _finish_reason(reason: object) -> FinishReason | None:
    return _FINISH_REASONS.get(reason) if isinstance(reason, str) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


# Streams


class EventLines:
    """Cuts a stream of server-sent events into the payloads of its `data:` lines, however the bytes arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST_LINE:
            raise invalid_answer("has a line that never ends")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


@dataclass
class StreamedAnswer:
    """Puts a streamed answer together.

    It has `ended` once the engine has said why it stopped; it is `done` when nothing can follow.
    """

    id: str = ""
    ended: bool = False
    done: bool = False
    finish_reason: FinishReason | None = None
    usage: Usage = field(default_factory=lambda: read_usage(None))
    _pieces: list[str] = field(default_factory=list)
    _tool_calls: dict[int, Json] = field(default_factory=dict)

    def take(self, payload: bytes) -> Delta | None:
        """One frame; what it adds for the caller, if anything. Raises when it is an error or makes no sense."""
        if payload == DONE:
            self.ended = self.done = True
            return None
        frame = read_object(payload)
        if frame.get("error"):
            raise _error_in_stream(frame)
        self.id = self.id or answer_id(frame)
        if frame.get("usage"):
            self.usage = read_usage(frame["usage"])
        try:
            return self._take_choice(frame["choices"][0]) if frame.get("choices") else None
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise invalid_answer("has a frame that is no chat completion chunk") from error

    def whole(self) -> Answer:
        calls = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        return Answer(self.id, "".join(self._pieces), calls or None, self.finish_reason, self.usage)

    def _take_choice(self, choice: Json) -> Delta | None:
        if choice.get("finish_reason") is not None:
            self.ended = True
            self.finish_reason = _finish_reason(choice["finish_reason"])
        delta = choice.get("delta") or {}
        content, calls = delta.get("content") or "", delta.get("tool_calls") or None
        if not isinstance(content, str):
            raise TypeError("content is no text")
        if content:
            self._pieces.append(content)
        for call in calls or ():
            self._merge_call(call)
        return Delta(content, calls) if content or calls else None

    def _merge_call(self, piece: Json) -> None:
        """A call comes in pieces with the same index: its id and name once, its arguments bit by bit."""
        index = cast(int, piece.get("index", 0))
        call = self._tool_calls.setdefault(index, {"type": "function", "function": {"name": "", "arguments": ""}})
        if piece.get("id"):
            call["id"] = piece["id"]
        function = piece.get("function") or {}
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""


def _error_in_stream(frame: Json) -> EngineFailure:
    message, code = _error_fields(frame)
    status = frame["error"].get("code") if isinstance(frame["error"], dict) else None
    return failure_of(status if isinstance(status, int) else 500, message, code)


# Errors


def read_error(status: int, data: bytes, retry_after: float | None) -> EngineFailure:
    """What an answer with an error status means."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    message, code = _error_fields(body) if isinstance(body, dict) else ("", "")
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


def _error_fields(body: Json) -> tuple[str, str]:
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
