"""What a completion costs: what was said about the model, then about its engine, then the provider's own list."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from contracts.engines import EVERY_MODEL
from contracts.router import Prices, ProviderType, Usage
from llm_router.domain.catalogue import Catalogue
from llm_router.domain.engines import EngineSpec
from llm_router.engine.openai import OpenAIEngine
from llm_router.engine.pool import EnginePool, PoolLimits
from llm_router.engine.prices import PriceList
from llm_router.engine.protocol import Timeouts

OPENAI = "https://api.openai.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"


@pytest.fixture
def price_list() -> Iterator[PriceList]:
    yield PriceList(EnginePool(Catalogue(), lambda spec: OpenAIEngine(spec, Timeouts()), PoolLimits()))


def spec(api_base: str, provider: ProviderType = "openai", **prices: Prices) -> EngineSpec:
    return EngineSpec(1, "e", provider, api_base, prices=prices)


def tokens(read: int, written: int) -> Usage:
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def dollars(price: int) -> Prices:
    return Prices(input=Decimal(price), output=Decimal(price))


@pytest.mark.parametrize(
    ("api_base", "provider", "model", "read"),
    [
        (OPENAI, "openai", "gpt-4o-mini", 1_234),
        (GOOGLE, "google", "gemini-2.5-pro", 1_234),
        # Long prompts cost more a token there.
        (GOOGLE, "google", "gemini-2.5-pro", 300_000),
    ],
)
def test_a_hosted_model_costs_what_its_provider_lists(
    price_list: PriceList, api_base: str, provider: str, model: str, read: int
) -> None:
    listed = calc_price(ListedUsage(input_tokens=read, output_tokens=500), model, provider_id=provider)
    cost = price_list.cost(spec(api_base), model, model, tokens(read, 500))
    assert cost == listed.total_price
    assert cost is not None
    assert cost > 0


def test_a_price_of_ones_own_stands_over_the_list_and_the_closer_one_over_the_wider(price_list: PriceList) -> None:
    million = tokens(1_000_000, 0)

    def cost(name: str = "gpt-4o-mini", **prices: Prices) -> Decimal | None:
        return price_list.cost(spec(OPENAI, **prices), "gpt-4o-mini", name, million)

    assert cost(**{EVERY_MODEL: dollars(7)}) == 7
    price_list.of_models = {"gpt-4o-mini": dollars(5), "alias": dollars(4)}
    assert cost(**{EVERY_MODEL: dollars(7)}) == 5
    assert cost(**{EVERY_MODEL: dollars(7), "gpt-4o-mini": dollars(3)}) == 3


def test_a_machine_of_ones_own_costs_nothing_unless_somebody_says_so(price_list: PriceList) -> None:
    own = "http://10.0.0.5:8000/v1"
    assert price_list.cost(spec(own, "vllm"), "m", "m", tokens(10, 10)) == 0
    assert price_list.cost(spec(own, "vllm", m=dollars(1)), "m", "m", tokens(500_000, 500_000)) == 1


def test_a_price_that_nobody_knows_is_none(price_list: PriceList) -> None:
    assert price_list.cost(spec("https://llm.example.org/v1"), "m", "m", tokens(10, 10)) is None
    assert price_list.cost(spec(OPENAI), "gpt-of-tomorrow", "x", tokens(10, 10)) is None


def test_the_list_knows_how_much_a_hosted_model_takes(price_list: PriceList) -> None:
    size = price_list.context_size(spec(OPENAI), "gpt-4o-mini")
    assert size is not None
    assert size >= 128_000
    assert price_list.context_size(spec(OPENAI), "gpt-of-tomorrow") is None
