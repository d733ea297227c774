"""What is known about an engine and the models it lists, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from contracts.base import Refused
from contracts.instances import InstanceConfig
from contracts.router import Chat, Choice, CountedBy, Embed, FinishReason, Prices, ProviderType, TextCompletion, Usage
from llm_router.domain.addresses import engine_base

CONFIGURED = "configured"
"""Name of the engine that `POST /api/v1/llm/config` sets up; no declared engine may have it."""
UNKNOWN_CONTEXT = 4096
"""Tokens assumed for a model whose engine does not say how many it takes."""
ADAPTER_PROVIDERS: frozenset[ProviderType] = frozenset(("local", "vllm"))
"""Engines that load a LoRA adapter at run time."""
_CONCURRENCY: dict[ProviderType, int] = {"local": 16}
_USUAL_CONCURRENCY = 64
PUBLIC_BASES: Mapping[ProviderType, str] = {"openai": "https://api.openai.com/v1"}
"""Where a hosted provider is reached when nobody says otherwise."""

KeepsFormat = Literal["always", "perhaps", "never"]
"""Whether an engine keeps to a `response_format` by itself."""
KEEPS_FORMAT: Mapping[ProviderType, KeepsFormat] = {
    # Much speaks OpenAI's API, and what does not know the field mostly ignores it.
    "openai": "perhaps",
    "ollama": "perhaps",
    "llamacpp": "perhaps",
    "vllm": "always",
    "local": "always",
    "simulated": "always",
    "koboldai": "never",
}

Question = Chat | TextCompletion
"""What an engine answers with text."""
Asked = Question | Embed
"""What an engine can be asked at all."""


def usual_concurrency(provider_type: ProviderType) -> int:
    """Requests that an engine of the type is given at once. The local one answers one after another."""
    return _CONCURRENCY.get(provider_type, _USUAL_CONCURRENCY)


class DeclaredEngine(BaseModel):
    """An engine that is known before anything starts, as one element of `PLATFORM_ENGINES`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    provider_type: ProviderType
    api_base: str
    port: int | None = None
    concurrency: int | None = Field(default=None, ge=1, le=100_000)
    """Most requests it is given at once; by default what suits its type."""
    priority: int = Field(default=0, ge=-1000, le=1000)
    """Of the engines that serve a model, those of the highest priority answer while they can."""
    models: tuple[str, ...] = ()
    """Models that it serves, known before it first lists them."""
    config: InstanceConfig = InstanceConfig()
    """What a completion that is asked of it by its port has where it says nothing else."""

    @field_validator("api_base")
    @classmethod
    def _is_a_plain_url(cls, api_base: str, given: ValidationInfo) -> str:
        try:
            return engine_base(api_base, given.data.get("provider_type", "openai"))
        except Refused as refused:
            raise ValueError(refused.message) from None


@dataclass(frozen=True)
class EngineSpec:
    """How an engine is reached. `api_base` is the root of its API, without a slash at the end.

    `guarded` engines may not be on a private address. `models` are served whether or not the engine lists them.
    `timeout` in seconds bounds one attempt up to its first token, or its whole answer. `prices` are by model.
    """

    id: int
    name: str
    provider_type: ProviderType
    api_base: str
    port: int | None = None
    token: str | None = field(default=None, repr=False)
    guarded: bool = False
    concurrency: int = 64
    timeout: float | None = None
    priority: int = 0
    weight: float = 1.0
    models: tuple[str, ...] = ()
    prices: Mapping[str, Prices] = field(default_factory=dict)
    last_used: datetime | None = field(default=None, compare=False)

    @property
    def takes_adapters(self) -> bool:
        return self.provider_type in ADAPTER_PROVIDERS


@dataclass(frozen=True)
class ModelCard:
    """A model as its engine lists it: `max_tokens` of context if told, `parent` the base of an adapter."""

    name: str
    max_tokens: int | None = None
    parent: str | None = None
    simulated: bool = False


@dataclass(frozen=True)
class Answer:
    """A whole answer: its first choice, and the `others` where several were asked for.

    `usage` is what the engine reports, all zero when it reports none.
    """

    id: str
    content: str
    tool_calls: list[dict[str, Any]] | None
    finish_reason: FinishReason | None
    usage: Usage
    logprobs: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    others: tuple[Choice, ...] = ()
    counted_by: CountedBy = "engine"

    @property
    def text(self) -> str:
        """All that was written, whichever choice it belongs to."""
        return self.content + "".join(choice.content for choice in self.others)


@dataclass(frozen=True)
class Vectors:
    """Embeddings, each as base64 of its little-endian 32-bit floats."""

    vectors: list[str]
    usage: Usage
