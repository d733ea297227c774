"""What the llm-router answers and tells: completions, engines, configuration (documents A, B, D; OpenAI's API)."""

from typing import Any, Literal

from pydantic import Field, model_validator

from contracts.base import Empty, Event, EventBody, Message, RefusalCode, Rpc, Stream, Timestamp

ProviderType = Literal["openai", "vllm", "ollama", "koboldai", "local", "simulated"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


DEFAULT_MODEL = "default"
"""Asks for the configured model, unless an engine serves a model of this very name."""


class ChatMessage(Message):
    """One turn. `content` is text, or OpenAI's list of parts, which is passed through."""

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class Chat(Message):
    """A chat completion as OpenAI's API asks for one.

    `extra` holds fields that are passed to the engine as they are.
    """

    model: str = Field(min_length=1, max_length=300)
    messages: list[ChatMessage] = Field(min_length=1, max_length=10_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] | None = Field(default=None, max_length=16)
    seed: int | None = None
    route: str = "chat"
    """Which of the platform's routes asked; recorded with the interaction."""
    extra: dict[str, Any] = {}


class Usage(Message):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(Message):
    """A finished completion.

    `engine` names who made it, `simulated` says that no model did; `seconds` is the engine's time.
    """

    id: str
    model: str
    created: int
    content: str
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: FinishReason | None
    usage: Usage
    engine: str
    simulated: bool
    seconds: float
    time_to_first_token: float | None = None


class ChatDelta(Message):
    """A piece of a streamed completion.

    `final` is the whole, so the last item of the stream carries usage and the reason.
    """

    content: str = ""
    tool_calls: list[dict[str, Any]] | None = None


_COMPLETION_REFUSALS = (
    RefusalCode.INVALID,
    RefusalCode.NOT_FOUND,
    RefusalCode.ENGINE_FAILED,
    RefusalCode.ENGINE_UNAVAILABLE,
    RefusalCode.RATE_LIMITED,
    RefusalCode.TIMEOUT,
)

CHAT_COMPLETE = Rpc("router.v1.chat.complete", Chat, ChatReply, refusals=_COMPLETION_REFUSALS, timeout=600.0)
CHAT_STREAM = Stream("router.v1.chat.stream", Chat, ChatDelta, ChatReply, refusals=_COMPLETION_REFUSALS)


# Models and engines


class ServedModel(Message):
    """A model that can be asked for by `name`.

    `parent` is the base of an adapter; `model_id` its id in the registry.
    """

    id: int
    name: str
    provider: str
    max_tokens: int
    status: Literal["active", "unavailable"]
    engine: str
    parent: str | None = None
    model_id: str | None = None
    created_at: Timestamp
    updated_at: Timestamp


class ServedModels(Message):
    models: list[ServedModel]


class Engine(Message):
    """An LLM instance behind the router. Never carries its token; `has_token` says whether there is one."""

    id: int
    name: str
    provider_type: ProviderType
    api_base: str
    port: int | None
    status: Literal["available", "unavailable"]
    models: list[str]
    outstanding: int
    last_used: Timestamp | None
    has_token: bool


class Engines(Message):
    engines: list[Engine]


LIST_SERVED_MODELS = Rpc("router.v1.models.list", Empty, ServedModels)
LIST_ENGINES = Rpc("router.v1.engines.list", Empty, Engines)


# Configuration and test (document B)


class Config(Message):
    """Which provider and model answer when a request names none."""

    provider_type: ProviderType
    model_name: str
    api_base: str


class UpdateConfig(Message):
    """Changes the given fields. `auth_token` is encrypted at rest and never returned."""

    provider_type: ProviderType | None = None
    model_name: str | None = Field(default=None, min_length=1, max_length=300)
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    auth_token: str | None = Field(default=None, min_length=1, max_length=4000)

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateConfig":
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


class ConfigUpdated(Message):
    success: bool = True


class TestPrompt(Message):
    """Document B's test: the prompt, then the input. Without `model_name` the configured model answers."""

    prompt: str = Field(min_length=1, max_length=200_000)
    model_name: str | None = Field(default=None, min_length=1, max_length=300)
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=1000, ge=1)
    input: str = Field(default="", max_length=200_000)


class TestResult(Message):
    """`duration` in seconds."""

    result: str
    model: str
    duration: float


GET_CONFIG = Rpc("router.v1.config.get", Empty, Config)
UPDATE_CONFIG = Rpc(
    "router.v1.config.update",
    UpdateConfig,
    ConfigUpdated,
    refusals=(RefusalCode.INVALID, RefusalCode.FORBIDDEN),
)
TEST_PROMPT = Rpc("router.v1.prompts.test", TestPrompt, TestResult, refusals=_COMPLETION_REFUSALS, timeout=600.0)


class ConfigChanged(EventBody):
    """Tells every replica to read its configuration and engines again."""

    revision: int


CONFIG_CHANGED = Event("events.router.config.changed", ConfigChanged, stream="EVENTS")


# Interactions


class Interaction(EventBody):
    """One completion of any route, as document B lists it, plus tokens, key and trace. Durations are seconds."""

    interaction_id: str
    route: str
    model: str
    engine: str | None
    input_text: str
    output_text: str
    parameters: dict[str, Any]
    status: Literal["completed", "failed", "cancelled"]
    error_message: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration: float
    time_to_first_token: float | None = None
    principal: str | None = None
    trace_id: str | None = None
    created_at: Timestamp


INTERACTION_RECORDED = Event("interactions.v1.recorded", Interaction, stream="INTERACTIONS")
