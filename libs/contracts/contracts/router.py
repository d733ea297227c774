"""What the llm-router answers and tells: completions, engines, configuration (documents A, B, D; OpenAI's API)."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, StringConstraints, model_validator
from typing_extensions import TypedDict

from contracts.base import Empty, Event, EventBody, Message, RefusalCode, Rpc, Stream, Timestamp
from contracts.gateway import AllowanceWanted

ProviderType = Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"]
Role = Literal["system", "developer", "user", "assistant", "tool"]


def usd_text(usd: Decimal) -> str:
    """US dollars as they are written everywhere."""
    return f"{usd.normalize():f}"


Usd = Annotated[Decimal, PlainSerializer(usd_text, return_type=str, when_used="json")]
"""US dollars, exactly: in JSON a decimal number as a string."""
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


class _Sampled(Message):
    """What all questions to a model have in common. `n` choices are made; None leaves a parameter to the engine.

    `extra` holds fields that are passed to the engine as they are.
    """

    model: str = Field(min_length=1, max_length=300)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] | None = Field(default=None, max_length=16)
    seed: int | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    extra: dict[str, Any] = Field(default_factory=dict)


class Chat(_Sampled):
    """A chat completion as OpenAI's API asks for one.

    `response_format` is OpenAI's object: the answer is JSON, of a schema if it names one, whatever engine gives it.
    """

    messages: list[ChatMessage] = Field(min_length=1, max_length=10_000)
    response_format: dict[str, Any] | None = None
    route: str = "chat"
    """Which of the platform's routes asked; recorded with the interaction."""

    @property
    def choices_asked(self) -> int:
        return self.n or 1


Prompts = str | list[str] | list[int] | list[list[int]]
"""A text or several, or the ids of their tokens."""


class TextCompletion(_Sampled):
    """A text to go on with, as OpenAI's older API asks. Each of several prompts gets `n` choices, in order."""

    prompt: Prompts
    route: str = "completions"

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list, however they were sent."""
        prompt: Any = self.prompt
        several = isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int))
        return prompt if several else [prompt]

    @property
    def choices_asked(self) -> int:
        return (self.n or 1) * len(self.prompts)


class Embed(Message):
    """Texts, or the ids of their tokens, whose vectors are asked for. `extra` is passed to the engine as it is."""

    model: str = Field(min_length=1, max_length=300)
    inputs: list[str] | list[list[int]] = Field(min_length=1, max_length=2048)
    dimensions: int | None = Field(default=None, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict)
    route: str = "embeddings"


CountedBy = Literal["engine", "tokenizer", "length"]
"""Who counted tokens: the engine in its answer, the model's own tokenizer afterwards, or nobody but their length."""


class Usage(Message):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(Message):
    """One answer to a question. `logprobs` is OpenAI's object.

    `extra` holds the fields of its message that the platform only hands on, such as `refusal` and `reasoning_content`.
    """

    content: str
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: FinishReason | None
    logprobs: dict[str, Any] | None = None
    # A factory, as in what else a completion is made of: pydantic copies a default more slowly than it makes one.
    extra: dict[str, Any] = Field(default_factory=dict)


class ChatReply(Choice):
    """A finished completion: its first choice, and the `others` where several were asked for.

    `engine` names who made it, `simulated` says that no model did; `seconds` is the engine's time. `model` is the one
    that answered: a fallback's where the one asked for could not. `cost` in USD; None when no price is known.
    """

    id: str
    model: str
    created: int
    usage: Usage
    engine: str
    simulated: bool
    seconds: float
    time_to_first_token: float | None = None
    cost: Usd | None = None
    others: list[Choice] = Field(default_factory=list)


class ChatDelta(TypedDict, total=False):
    """A piece of a streamed completion, for the choice number `index`, without one for the first. It has only what it
    adds. Made for every token, written and read again: of JSON's own types, as an `Interaction`.

    `final` is the whole, so the last item of the stream carries usage and the reason.
    """

    index: int
    content: str
    tool_calls: list[dict[str, Any]]
    logprobs: dict[str, Any]
    extra: dict[str, Any]


def chat_delta(
    index: int,
    content: str,
    tool_calls: list[dict[str, Any]] | None = None,
    logprobs: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
) -> ChatDelta:
    """A piece of that choice, with what there is of the others."""
    delta: ChatDelta = {"index": index} if index else {}
    if content:
        delta["content"] = content
    if tool_calls:
        delta["tool_calls"] = tool_calls
    if logprobs:
        delta["logprobs"] = logprobs
    if extra:
        delta["extra"] = extra
    return delta


def whole_delta(index: int, choice: Choice) -> ChatDelta:
    """All of that choice as one piece. Calls are numbered in pieces, and not in the whole."""
    calls = [{**call, "index": number} for number, call in enumerate(choice.tool_calls or ())]
    return chat_delta(index, choice.content, calls, choice.logprobs, choice.extra)


class Embeddings(Message):
    """Vectors in the order of the inputs, each as base64 of its little-endian 32-bit floats."""

    model: str
    vectors: list[str]
    usage: Usage
    engine: str
    simulated: bool
    seconds: float
    cost: Usd | None = None


_COMPLETION_REFUSALS = (
    RefusalCode.INVALID,
    RefusalCode.NOT_FOUND,
    RefusalCode.CONFLICT,
    RefusalCode.ENGINE_FAILED,
    RefusalCode.ENGINE_UNAVAILABLE,
    RefusalCode.RATE_LIMITED,
    RefusalCode.QUOTA_EXHAUSTED,
    RefusalCode.FORBIDDEN,
    RefusalCode.TIMEOUT,
)

CHAT_COMPLETE = Rpc("router.v1.chat.complete", Chat, ChatReply, refusals=_COMPLETION_REFUSALS, timeout=600.0, long=True)
CHAT_STREAM = Stream("router.v1.chat.stream", Chat, ChatDelta, ChatReply, refusals=_COMPLETION_REFUSALS)
TEXT_COMPLETE = Rpc(
    "router.v1.text.complete", TextCompletion, ChatReply, refusals=_COMPLETION_REFUSALS, timeout=600.0, long=True
)
TEXT_STREAM = Stream("router.v1.text.stream", TextCompletion, ChatDelta, ChatReply, refusals=_COMPLETION_REFUSALS)
EMBED = Rpc("router.v1.embeddings.make", Embed, Embeddings, refusals=_COMPLETION_REFUSALS, timeout=120.0, long=True)


# Models and engines


class Prices(Message):
    """USD for a million tokens."""

    input: Usd = Field(ge=0, le=1_000_000, max_digits=16, decimal_places=10)
    output: Usd = Field(ge=0, le=1_000_000, max_digits=16, decimal_places=10)


class ServedModel(Message):
    """A model that can be asked for by `name`.

    `parent` is the base of an adapter; `model_id` its id in the registry, `versioned` the name that always is its own.
    `context_size` in tokens is None when nobody has said it; `max_tokens` is what to count on. `prices` is None when
    none is known; what costs nothing says so. `fallbacks` are asked in this order when it cannot answer. A `disabled`
    one is so in its settings.
    """

    id: int
    name: str
    provider: str
    max_tokens: int
    status: Literal["active", "unavailable", "disabled"]
    engine: str
    parent: str | None = None
    model_id: str | None = None
    versioned: str | None = None
    context_size: int | None = None
    prices: Prices | None = None
    capabilities: list[str] = []
    fallbacks: list[str] = []
    created_at: Timestamp
    updated_at: Timestamp


class ServedModels(Message):
    models: list[ServedModel]


LIST_SERVED_MODELS = Rpc("router.v1.models.list", Empty, ServedModels)


# Configuration and test (document B)


class Config(Message):
    """Which provider and model answer when a request names none."""

    provider_type: ProviderType
    model_name: str
    api_base: str


AuthToken = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[!-~]*$")]
"""A provider's token, which travels in a header: printable ASCII without spaces, those around it are taken off."""


class UpdateConfig(Message):
    """Changes the given fields. `auth_token` is encrypted at rest and never returned."""

    provider_type: ProviderType | None = None
    model_name: str | None = Field(default=None, min_length=1, max_length=300)
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    auth_token: AuthToken | None = Field(default=None, min_length=1)

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
TEST_PROMPT = Rpc(
    "router.v1.prompts.test", TestPrompt, TestResult, refusals=_COMPLETION_REFUSALS, timeout=600.0, long=True
)
TEST_STREAM = Stream("router.v1.prompts.test-stream", TestPrompt, ChatDelta, ChatReply, refusals=_COMPLETION_REFUSALS)


class ConfigChanged(EventBody):
    """Tells every replica to read its configuration and engines again."""

    revision: int


CONFIG_CHANGED = Event("events.router.config.changed", ConfigChanged, stream="EVENTS")


BUDGET_WANTED = Event("events.router.budget.wanted", AllowanceWanted, stream="EVENTS")


# Interactions


class Interaction(TypedDict):
    """One completion of any route, as document B lists it, plus tokens, cost in USD, key and trace.

    Durations are seconds. `requested_model` is what the caller named, `model` what answered; `principal` is the id of
    the caller's key; `error_type` is document B's. `counted_by` is None where no tokens were used. Made for every
    completion, written and read again: of JSON's own types alone, so that no step of it is anybody's Python.
    """

    interaction_id: str
    route: str
    model: str
    requested_model: str | None
    engine: str | None
    input_text: str
    output_text: str
    parameters: dict[str, Any]
    status: Literal["completed", "failed", "cancelled"]
    error_message: str | None
    error_type: str | None
    prompt_tokens: int
    completion_tokens: int
    counted_by: CountedBy | None
    cost: str | None
    duration: float
    time_to_first_token: float | None
    principal: str | None
    trace_id: str | None
    created_at: str


class Interactions(EventBody):
    """Interactions that ended together."""

    interactions: list[Interaction]


INTERACTIONS_RECORDED = Event("interactions.v1.recorded", Interactions, stream="INTERACTIONS")
