"""OpenAI's chat completion API: its request as a `Chat` of the platform, and a `ChatReply` in its forms.

Source: https://platform.openai.com/docs/api-reference/chat. Answers are written with the fields that were set and no
others (`exclude_unset`), since the API tells `null` from absent: `logprobs` is null, an empty delta has no `content`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from contracts.base import Message, RefusalCode, Refused
from contracts.router import Chat, ChatDelta, ChatMessage, ChatReply, FinishReason, ServedModel, ServedModels, Usage

_ANSWER_ONLY = frozenset({"refusal", "annotations", "audio", "function_call", "reasoning", "reasoning_content"})
"""Fields of an answer's message, which clients send back with the next question."""


def _without_answer_fields(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {name: value for name, value in message.items() if name not in _ANSWER_ONLY}


def _listed_stop(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class StreamOptions(BaseModel):
    """How to stream; options that are not known here change nothing that the platform sends."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool = False


class ChatRequest(Message):
    """A chat completion as OpenAI's clients ask for it. Parameters that are not named here go to the engine as is."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    model: str = Field(min_length=1, max_length=300)
    messages: list[Annotated[ChatMessage, BeforeValidator(_without_answer_fields)]] = Field(
        min_length=1, max_length=10_000
    )
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: Annotated[list[str] | None, BeforeValidator(_listed_stop, json_schema_input_type=list[str] | str | None)] = (
        Field(default=None, max_length=16)
    )
    seed: int | None = None

    @field_validator("n")
    @classmethod
    def _makes_one(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("only one choice is made: n must be 1")
        return n

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def chat(self) -> Chat:
        """The same question in the platform's words. `max_completion_tokens` is the newer name of `max_tokens`."""
        return Chat(
            model=self.model,
            messages=self.messages,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            extra=self.model_extra or {},
        )


class AssistantMessage(Message):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[dict[str, Any]] = []


class Choice(Message):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletion(Message):
    """A finished completion. `system_fingerprint` names the engine that made it, and says if it was a simulated one."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str


class Delta(Message):
    role: Literal["assistant"] = "assistant"
    content: str | None = None
    tool_calls: list[dict[str, Any]] = []


class ChunkChoice(Message):
    index: int
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Message):
    """A piece of a streamed completion.

    The first brings the role, the last choice the finish reason; with `stream_options.include_usage` one more brings
    the usage and no choice, and all others say `"usage": null`.
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


def completion(reply: ChatReply) -> ChatCompletion:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": None}
    if reply.tool_calls:
        message |= {"content": reply.content or None, "tool_calls": reply.tool_calls}
    return ChatCompletion(
        id=reply.id,
        object="chat.completion",
        created=reply.created,
        model=reply.model,
        choices=[
            Choice(
                index=0,
                message=AssistantMessage.model_validate(message),
                logprobs=None,
                finish_reason=reply.finish_reason,
            )
        ],
        usage=reply.usage,
        system_fingerprint=_fingerprint(reply),
    )


class Chunks:
    """The chunks of one streamed completion, which share id, moment and model."""

    def __init__(self, completion_id: str, created: int, asked: ChatRequest) -> None:
        self._id = completion_id
        self._created = created
        self._model = asked.model
        self._include_usage = asked.include_usage

    def role(self) -> ChatCompletionChunk:
        """What comes first."""
        return self._chunk(Delta(role="assistant", content=""))

    def delta(self, delta: ChatDelta) -> ChatCompletionChunk:
        if delta.tool_calls:
            return self._chunk(Delta(tool_calls=delta.tool_calls))
        return self._chunk(Delta(content=delta.content))

    def ending(self, reply: ChatReply) -> list[ChatCompletionChunk]:
        """What comes last: the finish reason and, where it was asked for, the usage."""
        fingerprint = _fingerprint(reply)
        last = [self._chunk(Delta(), reply.finish_reason, fingerprint)]
        if self._include_usage:
            last.append(
                ChatCompletionChunk(
                    id=self._id,
                    object="chat.completion.chunk",
                    created=self._created,
                    model=self._model,
                    system_fingerprint=fingerprint,
                    choices=[],
                    usage=reply.usage,
                )
            )
        return last

    def _chunk(
        self, delta: Delta, finish_reason: FinishReason | None = None, fingerprint: str | None = None
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            system_fingerprint=fingerprint,
            choices=[ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)],
            **({"usage": None} if self._include_usage else {}),
        )


def _fingerprint(reply: ChatReply) -> str:
    return f"simulated:{reply.engine}" if reply.simulated else reply.engine


def model_list(served: ServedModels) -> OpenAiModels:
    """The models that can be asked now, as OpenAI lists them."""
    return OpenAiModels(object="list", data=[_listed(m) for m in served.models if m.status == "active"])


def find_model(served: ServedModels, name: str) -> OpenAiModel:
    """Raises `Refused` when no model of that name can be asked now."""
    for model in served.models:
        if model.name == name and model.status == "active":
            return _listed(model)
    raise Refused(RefusalCode.NOT_FOUND, f"The model {name!r} does not exist", {"param": "model"})


def _listed(model: ServedModel) -> OpenAiModel:
    return OpenAiModel(
        id=model.name, object="model", created=int(model.created_at.timestamp()), owned_by=model.provider
    )
