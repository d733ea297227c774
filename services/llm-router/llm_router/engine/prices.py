"""Prices of models: the engines' own, and the providers' as the package `genai-prices` brings them along."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import Usage as ListedUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, TieredPrices

from contracts.router import Prices, Usage
from llm_router.domain.engines import EngineSpec
from llm_router.domain.prices import cost, own_prices
from llm_router.engine.pool import EnginePool

_MOST_REMEMBERED = 10_000


class PriceList:
    """What completions cost. Prices may depend on the hour and on the length of a prompt: the list's own rules hold.

    `of_models` is what was last read of models' own prices, by the name that they are asked by.
    """

    def __init__(self, pool: EnginePool) -> None:
        self.of_models: Mapping[str, Prices] = {}
        self._pool = pool
        self._listed: dict[tuple[str, str], ModelInfo | None] = {}

    def prices_of(self, engine: str, model: str, name: str | None = None) -> Prices | None:
        """For a million tokens, of a short prompt, now; None when nobody knows.

        `model` is the engine's name for it, `name` the one it was asked by.
        """
        member = self._pool.member(engine)
        if member is None:
            return None
        own = own_prices(member.spec, self.of_models, model, name or model)
        return own if own is not None else _flat(self._info(member.spec, model))

    def cost(self, spec: EngineSpec, model: str, name: str, usage: Usage) -> Decimal | None:
        """USD, or None when no price is known."""
        if (own := own_prices(spec, self.of_models, model, name)) is not None:
            return cost(own, usage)
        if (info := self._info(spec, model)) is None or (flat := _flat(info)) is None:
            return None
        listed = info.get_prices(datetime.now(UTC))
        if isinstance(listed.input_mtok, TieredPrices) or isinstance(listed.output_mtok, TieredPrices):
            # Sixty times slower than a multiplication, and right for long prompts.
            counted = ListedUsage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
            return listed.calc_price(counted)["total_price"]
        return cost(flat, usage)

    def context_size(self, spec: EngineSpec, model: str) -> int | None:
        """Tokens that the model takes, as the list says."""
        info = self._info(spec, model) if spec.provider_type == "openai" else None
        return info.context_window if info is not None else None

    def _info(self, spec: EngineSpec, model: str) -> ModelInfo | None:
        """What the list says about the model at the provider that the engine's address belongs to."""
        key = (spec.api_base, model)
        if key not in self._listed:
            if len(self._listed) >= _MOST_REMEMBERED:
                self._listed.clear()
            self._listed[key] = _find(*key)
        return self._listed[key]


def _find(api_base: str, model: str) -> ModelInfo | None:
    try:
        return get_snapshot().find_provider_model(model, None, None, api_base)[1]
    except LookupError:
        return None


def _flat(info: ModelInfo | None) -> Prices | None:
    if info is None:
        return None
    listed = info.get_prices(datetime.now(UTC))
    read, written = _base(listed.input_mtok), _base(listed.output_mtok)
    return None if read is None else Prices(input=read, output=written or Decimal(0))


def _base(price: Decimal | TieredPrices | None) -> Decimal | None:
    return price.base if isinstance(price, TieredPrices) else price
