"""OpenAI's chat completion API: its request as a `Chat` of the platform, and a `ChatReply` in its forms.

Source: https://platform.openai.com/docs/api-reference/chat. Answers are written with the fields that were set and no
others, since the API tells `null` from absent: `logprobs` is null, an empty delta has no `content`. So they are plain
dicts here, of the forms that the models say: to make a model of every piece would cost more than all else.
"""

import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from contracts.base import Message, RefusalCode, Refused
from contracts.pipeline import LATEST
from contracts.router import (
    Chat,
    ChatDelta,
    ChatMessage,
    ChatReply,
    Choice,
    FinishReason,
    ServedModel,
    ServedModels,
    Usage,
)
from gateway.domain.sampling import SamplingRequest, fingerprint

Json = dict[str, Any]

_ANSWER_ONLY = frozenset({"refusal", "annotations", "audio", "function_call", "reasoning", "reasoning_content"})
"""Fields of an answer's message, which clients send back with the next question."""


def _without_answer_fields(message: Any) -> Any:
    if not isinstance(message, dict) or _ANSWER_ONLY.isdisjoint(message):
        return message
    return {name: value for name, value in message.items() if name not in _ANSWER_ONLY}


def _known_format(response_format: Any) -> Any:
    """Refuses what no engine could make sense of; types that are not OpenAI's are the engine's affair."""
    if not isinstance(response_format, dict):
        return response_format
    if not isinstance(response_format.get("type"), str):
        raise ValueError("type: field required")
    schema = response_format.get("json_schema")
    if response_format["type"] == "json_schema" and not (isinstance(schema, dict) and schema.get("name")):
        raise ValueError("json_schema: an object with `name` and `schema` is required")
    return response_format


class ChatRequest(SamplingRequest):
    """A chat completion as OpenAI's clients ask for it. Parameters that are not named here go to the engine as is."""

    checked = SamplingRequest.checked | {
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_completion_tokens",
    }

    messages: list[Annotated[ChatMessage, BeforeValidator(_without_answer_fields)]] = Field(
        min_length=1, max_length=10_000
    )
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: Annotated[dict[str, Any], BeforeValidator(_known_format)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    def question(self) -> Chat:
        """The same question in the platform's words. `max_completion_tokens` is the newer name of `max_tokens`."""
        return Chat(
            model=self.model,
            messages=self.messages,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            n=self.n,
            response_format=self.response_format,
            extra=self.passed_on(),
        )


class AssistantMessage(Message):
    """What the model said; `reasoning_content` and the like are handed on as the engine gives them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)


class ChatChoice(Message):
    index: int
    message: AssistantMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None


class ChatCompletion(Message):
    """A finished completion. `system_fingerprint` names the engine that made it, and says if it was a simulated one."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str


class Delta(Message):
    model_config = ConfigDict(extra="allow", frozen=True)

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)


class ChunkChoice(Message):
    index: int
    delta: Delta
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Message):
    """A piece of a streamed completion.

    The first of a choice brings the role, its last the finish reason; with `stream_options.include_usage` one more
    brings the usage and no choice, and all others say `"usage": null`.
    """

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: Usage | None = None


class OpenAiModel(Message):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAiModels(Message):
    object: Literal["list"]
    data: list[OpenAiModel]


class NamedModel(Message):
    """The model that a path names."""

    model: str = Field(min_length=1, max_length=300)


def completion(reply: ChatReply) -> Json:
    """A `ChatCompletion`."""
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_choice(index, choice) for index, choice in enumerate((reply, *reply.others))],
        "usage": vars(reply.usage),
        "system_fingerprint": fingerprint(reply),
    }


def _choice(index: int, choice: Choice) -> Json:
    message: Json = {"role": "assistant", "content": choice.content, "refusal": None, **choice.extra}
    if choice.tool_calls:
        message |= {"content": choice.content or None, "tool_calls": choice.tool_calls}
    return {
        "index": index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason,
    }


class ChatChunks:
    """The chunks of one streamed chat completion, each a `ChatCompletionChunk`: they share id, moment and model."""

    def __init__(self, asked: ChatRequest) -> None:
        self._shared: Json = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": None,
        }
        self._usage: Json = {"usage": None} if asked.include_usage else {}
        self._choices = asked.n or 1

    def opening(self) -> list[Json]:
        """What comes first: the role of every choice."""
        return [self._chunk(index, {"role": "assistant", "content": ""}) for index in range(self._choices)]

    def delta(self, delta: ChatDelta) -> Json:
        fields: Json = dict(delta.get("extra", {}))
        if calls := delta.get("tool_calls"):
            fields["tool_calls"] = calls
        if (content := delta.get("content", "")) or not fields:
            fields["content"] = content
        return self._chunk(delta.get("index", 0), fields, logprobs=delta.get("logprobs"))

    def ending(self, reply: ChatReply) -> list[Json]:
        """What comes last: the finish reasons and, where it was asked for, the usage."""
        said = {"system_fingerprint": fingerprint(reply)}
        last = [
            self._chunk(index, {}, choice.finish_reason) | said for index, choice in enumerate((reply, *reply.others))
        ]
        if self._usage:
            last.append({**self._shared, **said, "choices": [], "usage": reply.usage.model_dump()})
        return last

    def _chunk(
        self, index: int, delta: Json, finish_reason: FinishReason | None = None, logprobs: Json | None = None
    ) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**self._shared, "choices": [choice], **self._usage}


def model_list(served: ServedModels) -> OpenAiModels:
    """The models that can be asked now, as OpenAI lists them."""
    return OpenAiModels(object="list", data=[_listed(m) for m in served.models if m.status == "active"])


def find_model(served: ServedModels, name: str) -> OpenAiModel:
    """By all that it can be asked by, `name@version` and `name@latest` too, which no list shows.

    Raises `Refused` when no model of that name can be asked now.
    """
    for model in served.models:
        if model.status == "active" and name in _names(model):
            return _listed(model.model_copy(update={"name": name}))
    raise Refused(RefusalCode.NOT_FOUND, f"The model {name!r} does not exist", {"param": "model"})


def _names(model: ServedModel) -> list[str]:
    if model.versioned is None:
        return [model.name]
    newest = [f"{model.name}@{LATEST}"] if model.versioned.startswith(f"{model.name}@") else []
    return [model.name, model.versioned, *newest]


def _listed(model: ServedModel) -> OpenAiModel:
    return OpenAiModel(
        id=model.name, object="model", created=int(model.created_at.timestamp()), owned_by=model.provider
    )
