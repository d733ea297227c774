"""What was used: as the engine reports it, else by the model's tokenizer, else by the length of the texts."""

import uuid
from contextlib import aclosing
from decimal import Decimal

import pytest

from common.database import Record
from contracts.base import Refused
from contracts.engines import PUT_MODEL_SETTINGS, ModelSettings
from contracts.router import CHAT_STREAM, TEXT_COMPLETE, Prices, TextCompletion, Usage
from llm_router.domain.counting import usage_by_length
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, as_role, chat
from tests.llm_router.upstream import frame


def unique() -> str:
    return f"Hello {uuid.uuid4().hex}"


def counted(row: Record) -> tuple[int, int, str | None]:
    return row["prompt_tokens"], row["completion_tokens"], row["counted_by"]


async def priced(open_house: Open, provider: str) -> House:
    """A dollar for a million tokens read, ten for a million written."""
    house = await open_house(provider=provider)
    async with as_role("admin"):
        prices = Prices(input=Decimal(1), output=Decimal(10))
        await house.bus.ask(PUT_MODEL_SETTINGS, ModelSettings(model="m", prices=prices))
    return house


@pytest.mark.parametrize("provider", ["vllm", "llamacpp", "openai"])
async def test_what_the_engine_does_not_report_is_counted_with_its_tokenizer(open_house: Open, provider: str) -> None:
    house = await priced(open_house, provider)
    (engine,) = house.upstreams
    engine.tokenizes = True
    engine.faults.extend([faults.uncounted] * 2)
    # The role, two words, and the opening of the answer.
    expected = Usage(prompt_tokens=4, completion_tokens=3, total_tokens=7)
    for ask in (house.ask, house.last):
        content = unique()
        reply = await ask("m", content)
        assert reply.usage == expected
        assert reply.cost == Decimal("0.000034")
        row = await house.recorded(content)
        assert counted(row) == (4, 3, "tokenizer")
        assert row["cost"] == Decimal("0.000034")


async def test_a_text_is_counted_without_a_template(open_house: Open) -> None:
    house = await open_house(provider="llamacpp")
    house.upstreams[0].tokenizes = True
    house.upstreams[0].faults.append(faults.uncounted)
    reply = await house.bus.ask(TEXT_COMPLETE, TextCompletion(model="m", prompt="Once upon a time"))
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (4, 3)


async def test_without_a_tokenizer_the_length_says_it_and_the_engine_is_not_asked_again(open_house: Open) -> None:
    house = await priced(open_house, "openai")
    (engine,) = house.upstreams
    engine.faults.extend([faults.uncounted] * 2)
    for _ in range(2):
        content = unique()
        reply = await house.ask("m", content)
        expected = usage_by_length(chat("m", content), "One two three")
        assert reply.usage == expected
        row = await house.recorded(content)
        assert counted(row) == (expected.prompt_tokens, expected.completion_tokens, "length")
        assert row["cost"] == reply.cost
    assert len(engine.counted) == 1


async def test_what_the_engine_reports_is_not_counted_again(open_house: Open) -> None:
    house = await open_house(provider="vllm")
    house.upstreams[0].tokenizes = True
    content = unique()
    await house.ask("m", content)
    assert counted(await house.recorded(content)) == (5, 3, "engine")
    assert house.upstreams[0].counted == []


async def test_an_answer_that_nobody_heard_to_its_end_has_its_price_too(open_house: Open) -> None:
    house = await priced(open_house, "openai")
    (engine,) = house.upstreams
    left, broken, refused = unique(), unique(), unique()
    engine.faults.extend([faults.hang_after_a_word, faults.cut_after(frame({"content": "One"})), faults.status(400)])
    async with aclosing(house.bus.stream(CHAT_STREAM, chat("m", left))) as items:
        await anext(items)
    for content in (broken, refused):
        with pytest.raises(Refused):
            await house.stream("m", content)
    for content in (left, broken):
        expected = usage_by_length(chat("m", content), "One")
        row = await house.recorded(content)
        assert counted(row) == (expected.prompt_tokens, expected.completion_tokens, "length")
        assert row["cost"] == Decimal(expected.prompt_tokens + 10 * expected.completion_tokens) / 1_000_000
    row = await house.recorded(refused)
    assert counted(row) == (0, 0, None)
    assert row["cost"] is None
