"""What a model can be asked for: what the API of its engine offers and the router hands on.

Whether a model is any good at it is its own affair; an administrator who knows better says so in the model's settings.
"""

from collections.abc import Mapping

from contracts.router import ProviderType

_TEXT = ("chat", "completions", "streaming", "structured_output")
_OPENAI = (*_TEXT, "embeddings", "logprobs", "tools")
_BY_TYPE: Mapping[ProviderType, tuple[str, ...]] = {
    "openai": _OPENAI,
    "vllm": (*_OPENAI, "adapters"),
    "ollama": _OPENAI,
    "llamacpp": _OPENAI,
    "koboldai": _TEXT,
    "local": (*_TEXT, "embeddings", "logprobs", "adapters"),
    "simulated": _OPENAI,
}


def capabilities_of(provider: ProviderType) -> tuple[str, ...]:
    return _BY_TYPE[provider]
