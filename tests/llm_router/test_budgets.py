"""What a key may ask and spend: reserved before each completion, settled after it, the same in all routers."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from decimal import Decimal

import pytest

from common.context import Call, Principal, calling
from contracts.base import RefusalCode, Refused
from contracts.engines import CREATE_ENGINE, CreateEngine
from contracts.gateway import Budget
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, Chat, ChatMessage, ChatReply, Embed, Prices, TextCompletion
from llm_router.domain import budgets
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, soon

ANSWER = 8
"""Tokens that the upstream reports for each of its answers."""


@contextmanager
def key(*, models: tuple[str, ...] | None = None, budget: Budget | None = None, name: str = "") -> Iterator[str]:
    """Asks with a key of those options for the duration of the block."""
    name = name or uuid.uuid4().hex
    with calling(Call(principal=Principal(id=name, name="test", role="admin", models=models, budget=budget))):
        yield name


def short(model: str = "m", max_tokens: int = 10) -> Chat:
    return Chat(model=model, messages=[ChatMessage(role="user", content="Hello")], max_tokens=max_tokens)


RESERVED = budgets.most(short(), None).tokens


async def refusal(house: House, asked: Chat) -> Refused:
    with pytest.raises(Refused) as caught:
        await house.bus.ask(CHAT_COMPLETE, asked)
    return caught.value


async def spent(house: House, name: str, unit: str = "tokens") -> int:
    """What is counted once the routers gave back what they held."""
    account = f"budget:{name}:total:{unit}"
    seen: list[int] = []

    async def settled() -> list[int]:
        rows = await house.rows("SELECT taken FROM allowances WHERE account = $1", account)
        seen.append(rows[0]["taken"])
        # A sweep comes every second.
        return seen if len(seen) > 150 and len(set(seen[-75:])) == 1 else []

    return (await soon(settled, seconds=15))[-1]


class TestModels:
    async def test_a_key_asks_only_the_models_that_it_is_allowed(self, open_house: Open) -> None:
        house = await open_house()
        with key(models=("another",)):
            refused = await refusal(house, short())
        assert (refused.code, refused.metadata["param"]) == (RefusalCode.FORBIDDEN, "model")
        with key(models=("m",)):
            await house.ask("m")
        assert len(house.upstreams[0].requests) == 1

    async def test_a_key_is_shown_the_models_that_it_may_ask(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].models.append({"id": "another"})

        async def shown() -> set[str]:
            return set(await house.models())

        async def both() -> bool:
            return await shown() == {"m", "another"}

        await soon(both)
        for allowed, expected in ((("another",), {"another"}), (("default",), {"m"}), (("nobody",), set())):
            with key(models=allowed):
                assert await shown() == expected


class TestTokens:
    async def test_a_budget_admits_what_fits_and_refuses_the_rest(self, open_house: Open) -> None:
        house = await open_house()
        with key(budget=Budget(tokens=RESERVED + 2 * ANSWER, period="total")):
            for _ in range(3):
                await house.bus.ask(CHAT_COMPLETE, short())
            refused = await refusal(house, short())
        assert refused.code is RefusalCode.QUOTA_EXHAUSTED
        assert refused.metadata["unit"] == "tokens"
        assert f"may take up to {RESERVED} tokens" in refused.message
        assert len(house.upstreams[0].requests) == 3

    async def test_a_wish_beyond_all_bounds_is_refused_as_any_other(self, open_house: Open) -> None:
        house = await open_house()
        with key(budget=Budget(tokens=RESERVED, period="total")):
            assert (await refusal(house, short(max_tokens=2**70))).code is RefusalCode.QUOTA_EXHAUSTED
            await house.bus.ask(CHAT_COMPLETE, short())

    async def test_two_routers_spend_one_budget(self, open_house: Open) -> None:
        house = await open_house(replicas=2)
        with key(budget=Budget(tokens=RESERVED + 20 * ANSWER, period="total")):
            answers = await asyncio.gather(
                *(house.bus.ask(CHAT_COMPLETE, short()) for _ in range(40)), return_exceptions=True
            )
            while not isinstance(await _try(house), Refused):
                pass
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(each, Refused) and each.code is RefusalCode.QUOTA_EXHAUSTED for each in refused)
        assert len(house.upstreams[0].requests) == 21

    async def test_a_stream_is_settled_with_what_it_used(self, open_house: Open) -> None:
        house = await open_house()
        with key(budget=Budget(tokens=RESERVED + ANSWER, period="total")):
            for _ in range(2):
                assert [item async for item in house.bus.stream(CHAT_STREAM, short())]
            with pytest.raises(Refused):
                _ = [item async for item in house.bus.stream(CHAT_STREAM, short())]

    async def test_a_caller_who_goes_away_pays_for_what_was_made(self, open_house: Open) -> None:
        house = await open_house(budget_idle_seconds=0.2)
        house.upstreams[0].faults.append(faults.hang_after_a_word)
        with key(budget=Budget(tokens=1000, period="total")) as name:
            async with aclosing(house.bus.stream(CHAT_STREAM, short())) as items:
                assert not isinstance(await anext(items), ChatReply)
        assert 0 < await spent(house, name) < RESERVED

    async def test_what_an_engine_refused_costs_nothing(self, open_house: Open) -> None:
        house = await open_house(budget_idle_seconds=0.2)
        house.upstreams[0].faults.append(faults.status(400))
        with key(budget=Budget(tokens=1000, period="total")) as name:
            await refusal(house, short())
        assert await spent(house, name) == 0


async def _try(house: House) -> object:
    try:
        return await house.bus.ask(CHAT_COMPLETE, short())
    except Refused as refused:
        return refused


class TestMoney:
    async def test_money_is_counted_by_the_engine_s_prices(self, open_house: Open) -> None:
        house = await open_house(budget_idle_seconds=0.2)
        prices = {"paid": Prices(input=Decimal(1000), output=Decimal(100_000))}
        async with faults.running(models=[{"id": "paid", "object": "model"}]) as upstream:
            with key():
                new = CreateEngine(name="paid", provider_type="openai", api_base=upstream.url, prices=prices)
                await house.bus.ask(CREATE_ENGINE, new)
            # Five tokens read at 0.001 dollars and three written at 0.1; ten might have been.
            with key(budget=Budget(usd=2, period="total")) as name:
                await house.bus.ask(CHAT_COMPLETE, short("paid"))
            assert await spent(house, name, "usd") == 305_000_000
            with key(budget=Budget(usd=1, period="total")):
                assert (await refusal(house, short("paid"))).metadata["unit"] == "usd"

    async def test_a_model_without_a_known_price_is_refused_to_a_budget_in_dollars(self, open_house: Open) -> None:
        house = await open_house()
        with key(budget=Budget(usd=1, period="total")):
            assert (await refusal(house, short())).code is RefusalCode.FORBIDDEN


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        (short(max_tokens=10), 20),
        (TextCompletion(model="m", prompt=["abc", "abcdef"], max_tokens=5, n=2), 3 + 20),
        (TextCompletion(model="m", prompt=[1, 2, 3], max_tokens=5), 8),
        (Embed(model="m", inputs=["abc", "abc"]), 2),
    ],
)
def test_what_is_reserved_follows_from_the_question(asked: Chat | TextCompletion | Embed, tokens: int) -> None:
    assert budgets.most(asked, None).tokens == tokens


def test_of_several_engines_the_dearest_is_reserved_for() -> None:
    cheap, dear = Prices(input=Decimal(1), output=Decimal(9)), Prices(input=Decimal(5), output=Decimal(2))
    assert budgets.dearest([cheap, dear]) == Prices(input=Decimal(5), output=Decimal(9))
    assert budgets.dearest([cheap, None]) is None
