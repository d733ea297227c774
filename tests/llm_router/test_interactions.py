"""Reading what was asked and answered, and what was used: everybody their own, an administrator all."""

import uuid
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from common.context import Call, Principal, calling
from contracts.base import RefusalCode, Refused, rfc3339
from contracts.gateway import Role
from contracts.interactions import (
    GET_INTERACTION,
    GET_USAGE,
    LIST_INTERACTIONS,
    GetInteraction,
    GetUsage,
    InteractionPage,
    ListInteractions,
    UsagePage,
)
from contracts.router import Interaction
from llm_router.store import partitions
from llm_router.store.interactions import add_interactions
from tests.llm_router.conftest import House, Open
from tests.llm_router.test_recording import interaction

# Long enough ago for all days to be over, and not for the retention.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=5)


def caller(key: str, role: Role = "member") -> AbstractContextManager[Call]:
    return calling(Call(principal=Principal(id=key, name=key, role=role)))


def told(key: str | None, minutes: int, **fields: object) -> Interaction:
    """A completion of that key, so many minutes after noon."""
    given = {"principal": key, "created_at": NOON + timedelta(minutes=minutes), "prompt_tokens": 10}
    return interaction(f"at {minutes}", **(given | fields))


async def keep(house: House, *interactions: Interaction) -> None:
    async with house.database.transaction() as connection:
        await partitions.make_days(connection, {date.fromisoformat(told["created_at"][:10]) for told in interactions})
        await add_interactions(connection, interactions)


async def listed(house: House, **asked: object) -> InteractionPage:
    return await house.bus.ask(LIST_INTERACTIONS, ListInteractions.model_validate(asked))


async def texts(house: House, **asked: object) -> list[str]:
    return [item.input_text for item in (await listed(house, **asked)).items]


async def used(house: House, **asked: object) -> UsagePage:
    given = {"since": NOON.date(), "until": NOON.date() + timedelta(days=1)}
    return await house.bus.ask(GET_USAGE, GetUsage.model_validate(given | asked))


class TestInteractions:
    async def test_everybody_sees_their_own_and_an_administrator_all(self, open_house: Open) -> None:
        house = await open_house(0)
        mine, others = told("key_1", 1), told("key_2", 2)
        await keep(house, mine, others, told(None, 3))
        with caller("key_1"):
            assert await texts(house) == ["at 1"]
            assert await texts(house, key="key_2") == []
            with pytest.raises(Refused) as caught:
                await house.bus.ask(GET_INTERACTION, GetInteraction(interaction_id=others["interaction_id"]))
            assert caught.value.code is RefusalCode.NOT_FOUND
        with caller("key_9", "admin"):
            assert await texts(house) == ["at 3", "at 2", "at 1"]
            assert await texts(house, key="key_2") == ["at 2"]
            got = await house.bus.ask(GET_INTERACTION, GetInteraction(interaction_id=mine["interaction_id"]))
        assert (got.key, got.total_tokens, rfc3339(got.created_at)) == ("key_1", 10, mine["created_at"])
        assert await texts(house) == []

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"model": "gpt"}, ["at 2", "at 1"]),
            ({"status": "failed"}, ["at 3"]),
            ({"engine": "e1"}, ["at 3"]),
            ({"route": "test"}, ["at 1"]),
            ({"trace_id": "t"}, ["at 2"]),
            ({"since": NOON + timedelta(minutes=2)}, ["at 3", "at 2"]),
            ({"until": NOON + timedelta(minutes=2)}, ["at 1"]),
            ({"model": "gpt", "status": "failed"}, []),
        ],
    )
    async def test_filters_narrow_them_down(self, open_house: Open, asked: dict[str, object], found: list[str]) -> None:
        house = await open_house(0)
        await keep(
            house,
            told("k", 1, model="gpt", route="test"),
            # What was asked for counts too, where a fallback answered.
            told("k", 2, model="backup", requested_model="gpt", trace_id="t"),
            told("k", 3, status="failed", engine="e1"),
        )
        with caller("k"):
            page = await listed(house, **asked)
        assert [item.input_text for item in page.items] == found
        assert page.total == len(found)

    async def test_pages_follow_one_another_while_new_ones_come_in(self, open_house: Open) -> None:
        house = await open_house(0)
        await keep(house, *(told("k", minute) for minute in range(7)))
        seen: list[str] = []
        with caller("k"):
            page = await listed(house, limit=3)
            seen += [item.input_text for item in page.items]
            await keep(house, told("k", 30))
            while page.next_cursor is not None:
                page = await listed(house, limit=3, cursor=page.next_cursor)
                seen += [item.input_text for item in page.items]
            assert seen == [f"at {minute}" for minute in reversed(range(7))]
            assert not page.has_more
            with pytest.raises(Refused) as caught:
                await listed(house, cursor="nonsense")
        assert caught.value.code is RefusalCode.INVALID

    async def test_lists_show_the_beginning_of_long_texts(self, open_house: Open) -> None:
        house = await open_house(0)
        long = told("k", 1, output_text="x" * 5000)
        await keep(house, long)
        with caller("k"):
            (item,) = (await listed(house)).items
            assert (len(item.output_text), item.truncated) == (2000, True)
            whole = await house.bus.ask(GET_INTERACTION, GetInteraction(interaction_id=long["interaction_id"]))
        assert (whole.output_text, whole.truncated) == (long["output_text"], False)


class TestUsage:
    async def test_it_is_summed_by_what_is_asked_for(self, open_house: Open) -> None:
        house = await open_house(0)
        await keep(
            house,
            told("a", 1, cost="0.25", completion_tokens=5, duration=1.0),
            told("a", 2, cost="0.5", duration=3.0),
            told("b", 3, model="n", status="failed"),
            told(None, 24 * 60, status="cancelled"),
        )
        with caller("admin", "admin"):
            page = await used(house)
            assert [(row.day, row.model, row.key, row.requests) for row in page.items] == [
                (NOON.date() + timedelta(days=1), "m", None, 1),
                (NOON.date(), "m", None, 2),
                (NOON.date(), "n", None, 1),
            ]
            first = page.items[1]
            assert (first.prompt_tokens, first.completion_tokens, first.total_tokens) == (20, 5, 25)
            assert (first.cost, first.unpriced, first.mean_duration) == (Decimal("0.75"), 0, 2.0)
            by_key = await used(house, group_by="key")
            assert {row.key: (row.requests, row.errors, row.cancelled) for row in by_key.items} == {
                "a": (2, 0, 0),
                "b": (1, 1, 0),
                None: (1, 0, 1),
            }
            assert all(row.day is None and row.model is None for row in by_key.items)
            page = await used(house, group_by="day,model,key", limit=1, offset=1)
            assert (page.total, page.has_more, len(page.items)) == (3, True, 1)
            assert (await used(house, offset=50)).total == 3
            assert [row.requests for row in (await used(house, key="a", group_by="model")).items] == [2]

    async def test_everybody_sees_their_own(self, open_house: Open) -> None:
        house = await open_house(0)
        await keep(house, told("a", 1), told("b", 2))
        with caller("a"):
            assert [(row.key, row.requests) for row in (await used(house, group_by="key")).items] == [("a", 1)]
            assert (await used(house, key="b")).items == []

    async def test_an_interaction_that_is_told_twice_counts_once(self, open_house: Open) -> None:
        house = await open_house(0)
        once = told(uuid.uuid4().hex, 1)
        await keep(house, once)
        await keep(house, once, told(once["principal"], 2))
        with caller("x", "admin"):
            assert [row.requests for row in (await used(house, key=once["principal"])).items] == [2]
