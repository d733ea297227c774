"""OpenAI's HTTP API as both engines speak it: requests, answers, stream frames and errors.

Source: https://platform.openai.com/docs/api-reference, and vLLM's additions `top_k` and `ignore_eos`.
"""

import itertools
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

Kind = Literal["chat", "text"]
FinishReason = Literal["stop", "length", "tool_calls"]
Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
"""The frame that ends every stream which was not cut short."""

# An id is random by process and counted within it: unique, and without a system call for each answer.
_PROCESS = uuid.uuid4().hex[:24]
_numbers = itertools.count()

_HOLE = "\x00"
_HOLE_AS_JSON = orjson.dumps(_HOLE)


# Requests


class Wire(BaseModel):
    """A request body. Fields that are not declared are kept in `model_extra`, for the engine to judge."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class StreamOptions(Wire):
    include_usage: bool = False


class TextPart(Wire):
    """The one kind of content part that a text model reads."""

    type: Literal["text"]
    text: str


def _text_alone(content: Any) -> Any:
    """Says of an image or a sound what it is that will not do, before all the types are told that it is none of."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type", "text") != "text":
            raise ValueError(f"this model reads text alone, and no part of the type {part['type']!r}")
    return content


class Message(Wire):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str | list[TextPart] | None, BeforeValidator(_text_alone)] = None

    @property
    def text(self) -> str:
        """The content as one string, whichever way it was sent."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class JsonSchema(Wire):
    name: str = ""
    json_schema: Json = Field(default_factory=dict, alias="schema")


class ResponseFormat(Wire):
    """What form the answer must have. Types other than these are not known here."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Function(Wire):
    name: str
    parameters: Json = Field(default_factory=dict)


class Tool(Wire):
    type: str
    function: Function


StopText = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class _Completion(Wire):
    """What chat and text completions have in common. None leaves a choice to the engine."""

    model: str = Field(min_length=1, max_length=300)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    """Most likely tokens to choose from; 0 and -1 mean all."""
    max_tokens: int | None = Field(default=None, ge=1)
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    n: int = Field(default=1, ge=1, le=128)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    """Go on to `max_tokens` where the model would have stopped; for load tests."""

    @property
    def stops(self) -> tuple[str, ...]:
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatCompletionRequest(_Completion):
    messages: list[Message] = Field(min_length=1, max_length=10_000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Json | None = None

    @property
    def schema_of_answer(self) -> Json | None:
        """The JSON schema that the answer must fit; None where any text will do."""
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        return wanted.json_schema.json_schema if wanted.json_schema is not None else {"type": "object"}

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens to tell at each place, besides the chosen one; None: tell nothing."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def limit(self) -> int | None:
        """Most tokens to generate. None: as many as fit."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


Prompt = str | list[int]
"""A text, or the ids of its tokens."""


class CompletionRequest(_Completion):
    """A text completion of one prompt or several."""

    prompt: str | list[int] | Annotated[list[str] | list[list[int]], Field(min_length=1, max_length=128)]
    logprobs: int | None = Field(default=None, ge=0, le=20)

    @property
    def likeliest(self) -> int | None:
        return self.logprobs

    @property
    def limit(self) -> int:
        """Most tokens to generate; 16 is the default of OpenAI's API."""
        return self.max_tokens if self.max_tokens is not None else 16

    @property
    def prompts(self) -> list[Prompt]:
        return listed(self.prompt)


class EmbeddingRequest(Wire):
    model: str = Field(min_length=1, max_length=300)
    input: str | list[int] | Annotated[list[str] | list[list[int]], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, le=65_536)

    @property
    def inputs(self) -> list[Prompt]:
        return listed(self.input)


def listed(given: Any) -> list[Prompt]:
    """One prompt or several, as a list."""
    several = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
    return given if several else [given]


# Errors


class ApiError(Exception):
    """A request turned down, in the form of OpenAI's API. `retry_after` in seconds asks the client to come back."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def body(self) -> bytes:
        return orjson.dumps(
            {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}
        )

    def frame(self) -> bytes:
        """The error as a stream frame, for a stream that has begun: it then ends without `DONE`."""
        return b"data: " + self.body() + b"\n\n"


def model_not_found(name: str) -> ApiError:
    return ApiError(404, f"The model `{name}` does not exist.", param="model", code="model_not_found")


def context_length_exceeded(prompt_tokens: int, context_length: int) -> ApiError:
    return ApiError(
        400,
        f"This model's maximum context length is {context_length} tokens; the prompt takes {prompt_tokens}, "
        "which leaves no room for an answer.",
        param="messages",
        code="context_length_exceeded",
    )


def overloaded(message: str, retry_after: int = 1) -> ApiError:
    return ApiError(503, message, kind="server_error", code="overloaded", retry_after=retry_after)


def internal_error() -> ApiError:
    """A crash. What happened is in the log and not in the answer."""
    return ApiError(500, "The engine failed on this request.", kind="server_error", code="internal_error")


def invalid_request(error: ValidationError) -> ApiError:
    """The first thing that is wrong with a request body, and where."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return ApiError(400, f"{where}: {what}" if where else what, param=where or None)


# Answers


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def model_card(
    name: str,
    *,
    created: int,
    owned_by: str,
    metadata: Json,
    parent: str | None = None,
    max_model_len: int | None = None,
) -> Json:
    """One row of `GET /v1/models`, with vLLM's `parent` (an adapter's base) and `max_model_len`."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": owned_by,
        "parent": parent,
        "max_model_len": max_model_len,
        "metadata": metadata,
    }


@dataclass(frozen=True)
class Said:
    """One finished choice of an answer. `logprobs` is OpenAI's object."""

    text: str
    reason: FinishReason
    logprobs: Json | None = None
    tool_calls: list[Json] | None = None


@dataclass(frozen=True)
class Frames:
    """One choice of a streamed answer, ready to be written: `opening`, then pieces, then `closing`.

    A piece stands between `before` and `after`, so that a frame costs one concatenation and no dictionary.
    """

    opening: bytes
    before: bytes
    after: bytes
    answer: "Answer"
    index: int

    def piece(self, text: str, logprobs: Json | None = None) -> bytes:
        if logprobs is not None:
            return self.answer.frame({**self.answer.choice(text, self.index), "logprobs": logprobs})
        return self.before + orjson.dumps(text) + self.after

    def pieces(self, texts: Iterable[str]) -> bytes:
        """One frame for each of `texts`, of which there is at least one, as one string of bytes."""
        return self.before + (self.after + self.before).join(map(orjson.dumps, texts)) + self.after

    def calls(self, tool_calls: list[Json]) -> bytes:
        """All tool calls in one frame."""
        numbered = [{"index": index, **call} for index, call in enumerate(tool_calls)]
        return self.answer.frame({**self.answer.choice("", self.index), "delta": {"tool_calls": numbered}})

    def closing(self, reason: FinishReason) -> bytes:
        """Why the choice ended."""
        return self.answer.frame(self.answer.choice("", self.index, reason))


@dataclass(frozen=True)
class Answer:
    """What every part of one answer repeats: its id, its time in Unix seconds, its model."""

    kind: Kind
    model: str
    fingerprint: str | None = None
    with_usage: bool = False
    """Whether the stream ends with the usage; its other frames then say `"usage": null`."""
    id: str = field(default_factory=lambda: f"{_PROCESS}{next(_numbers):08x}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, said: Iterable[Said], counts: Json) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [self._whole_choice(index, choice) for index, choice in enumerate(said)]
        return orjson.dumps(self._head(streamed=False) | {"choices": choices, "usage": counts})

    def frames(self, index: int = 0) -> Frames:
        hollow = self.frame(self.choice(_HOLE, index))
        # The model's name stands before the choices, so the last hole is ours whatever the name holds.
        before, _, after = hollow.rpartition(_HOLE_AS_JSON)
        opening = self.frame(self.choice("", index, role="assistant")) if self.kind == "chat" else b""
        return Frames(opening, before, after, self, index)

    def choice(self, text: str, index: int = 0, reason: FinishReason | None = None, role: str | None = None) -> Json:
        """The one choice of a stream frame. A chat's last one has an empty delta, its first one names the role."""
        content: Json
        if self.kind == "text":
            content = {"text": text}
        elif reason is not None:
            content = {"delta": {}}
        else:
            content = {"delta": {"role": role, "content": text} if role is not None else {"content": text}}
        return {"index": index, **content, "logprobs": None, "finish_reason": reason}

    def frame(self, choice: Json | None, counts: Json | None = None) -> bytes:
        """One server-sent event. Without a choice it is the one that carries the usage."""
        chunk = self._head(streamed=True) | {"choices": [choice] if choice is not None else []}
        if self.with_usage:
            chunk["usage"] = counts
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def end(self, counts: Json) -> bytes:
        """The usage if it was asked for, and the end of the stream."""
        return (self.frame(None, counts) if self.with_usage else b"") + DONE

    def _whole_choice(self, index: int, said: Said) -> Json:
        if self.kind == "text":
            content: Json = {"text": said.text}
        elif said.tool_calls is not None:
            content = {"message": {"role": "assistant", "content": None, "tool_calls": said.tool_calls}}
        else:
            content = {"message": {"role": "assistant", "content": said.text, "refusal": None}}
        return {"index": index, **content, "logprobs": said.logprobs, "finish_reason": said.reason}

    def _head(self, *, streamed: bool) -> Json:
        if self.kind == "chat":
            prefix, name = "chatcmpl-", "chat.completion.chunk" if streamed else "chat.completion"
        else:
            prefix, name = "cmpl-", "text_completion"
        return {
            "id": prefix + self.id,
            "object": name,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }
