"""What the router measures is that of all replicas: it comes from what is recorded."""

from decimal import Decimal

from contracts.engines import PUT_MODEL_SETTINGS, ModelSettings
from contracts.metrics import GET_ROUTER_METRICS, GetRouterMetrics, RouterMetrics
from contracts.router import Prices
from tests.llm_router.conftest import House, Open, as_role, soon


async def measured(house: House, window: float = 300) -> RouterMetrics:
    return await house.bus.ask(GET_ROUTER_METRICS, GetRouterMetrics(window=window))


async def test_rates_and_totals_are_of_all_replicas(open_house: Open) -> None:
    house = await open_house(engines=1, replicas=2)
    nothing = await measured(house)
    assert (nothing.tokens_per_second, nothing.average_response_time, nothing.total_requests) == (None, None, 0)
    replies = [await house.ask(content=f"Hello {number}") for number in range(4)]

    async def counted() -> RouterMetrics | None:
        found = await measured(house)
        return found if found.total_requests == 4 else None

    found = await soon(counted)
    assert found.average_response_time is not None
    assert found.tokens_per_second is not None
    tokens = sum(reply.usage.completion_tokens for reply in replies)
    assert abs(found.tokens_per_second * found.average_response_time * 4 - tokens) < 1e-6
    assert (await measured(house, window=1e-6)).tokens_per_second is None


async def test_failures_count_as_requests_and_not_as_rates(open_house: Open) -> None:
    house = await open_house(engines=1)
    await house.refusal("no-such-model")

    async def counted() -> RouterMetrics | None:
        found = await measured(house)
        return found if found.total_requests == 1 else None

    assert (await soon(counted)).average_response_time is None


async def test_costs_are_summed_where_prices_are_known(open_house: Open) -> None:
    house = await open_house(engines=1)
    await house.ask()
    assert (await measured(house)).cost is None
    async with as_role("admin"):
        prices = Prices(input=Decimal(100), output=Decimal(1000))
        await house.bus.ask(PUT_MODEL_SETTINGS, ModelSettings(model="m", prices=prices))
    for _ in range(2):
        await house.ask()

    async def summed() -> bool:
        found = await measured(house)
        return found.total_requests == 3 and found.cost == 0.007

    await soon(summed)
