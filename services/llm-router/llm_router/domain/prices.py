"""What tokens cost: what was said about a model, then about its engine, then the provider's list prices."""

from collections.abc import Mapping
from decimal import Decimal

from contracts.engines import EVERY_MODEL
from contracts.router import Prices, ProviderType, Usage
from llm_router.domain.engines import EngineSpec

FREE = Prices(input=Decimal(0), output=Decimal(0))
_OWN_MACHINES: frozenset[ProviderType] = frozenset(("vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"))
"""Engines that a team runs itself: its tokens cost nothing unless it says so."""
_NOTHING = Decimal(0)
_MILLION = Decimal(1_000_000)
_PLACES = Decimal("1e-12")


def own_prices(spec: EngineSpec, of_models: Mapping[str, Prices], *names: str) -> Prices | None:
    """What was said about the first of `names`: on the engine, then `of_models` on any; then about the whole engine.

    Our own machines cost nothing else. None leaves it to the provider's list.
    """
    for said in (spec.prices, of_models):
        for name in names:
            if (prices := said.get(name)) is not None:
                return prices
    if (prices := spec.prices.get(EVERY_MODEL)) is not None:
        return prices
    return FREE if spec.provider_type in _OWN_MACHINES else None


def cost(prices: Prices, usage: Usage) -> Decimal:
    """USD."""
    if prices is FREE:
        return _NOTHING
    return in_usd(prices.input * usage.prompt_tokens + prices.output * usage.completion_tokens)


def in_usd(millionths: Decimal) -> Decimal:
    """From prices for a million tokens times tokens to dollars, exact to 12 places."""
    return (millionths / _MILLION).quantize(_PLACES).normalize() if millionths else _NOTHING
