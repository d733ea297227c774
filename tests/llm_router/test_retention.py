"""Interactions by day: each has its partition before it is needed, and goes whole when its time is over."""

import asyncio
from datetime import UTC, date, datetime, timedelta

from llm_router.store import partitions
from llm_router.store.interactions import add_interactions
from tests.llm_router.conftest import House, Open, soon
from tests.llm_router.test_recording import interaction

LONG_AGO = timedelta(days=40)


def today() -> date:
    return datetime.now(UTC).date()


async def keep_of(house: House, age: timedelta) -> None:
    then = datetime.now(UTC) - age
    async with house.database.transaction() as connection:
        await partitions.make_days(connection, [then.date()])
        await add_interactions(connection, [interaction(created_at=then)])


async def days(house: House) -> list[date]:
    async with house.database.connection() as connection:
        return await partitions.list_days(connection)


async def count(house: House, table: str) -> int:
    return int((await house.rows(f"SELECT count(*) AS n FROM {table}"))[0]["n"])


async def test_days_whose_time_is_over_are_dropped_and_their_sums_stay(open_house: Open) -> None:
    house = await open_house(interaction_retention_days=None)
    await keep_of(house, LONG_AGO)
    await keep_of(house, timedelta(days=2))
    # What every replica does when it starts, and every hour.
    house = await open_house(interaction_retention_days=30)

    async def dropped() -> bool:
        return await count(house, "interactions") == 1

    await soon(dropped)
    kept = await days(house)
    assert min(kept) >= today() - timedelta(days=30)
    assert await count(house, "usage_by_day") == 2


async def test_without_a_limit_they_stay_for_ever(open_house: Open) -> None:
    house = await open_house(interaction_retention_days=None)
    await keep_of(house, LONG_AGO)
    house = await open_house(interaction_retention_days=None)
    assert await count(house, "interactions") == 1


async def test_the_next_days_are_there_before_they_begin(open_house: Open) -> None:
    house = await open_house(replicas=2)
    wanted = {today() + timedelta(days=ahead) for ahead in range(3)}

    async def ready() -> bool:
        return wanted <= set(await days(house))

    await soon(ready)


async def test_replicas_that_need_a_day_at_once_make_it_once(open_house: Open) -> None:
    house = await open_house(interaction_retention_days=None)
    day = today() - timedelta(days=3000)

    async def make() -> None:
        async with house.database.transaction() as connection:
            await partitions.make_days(connection, [day])

    await asyncio.gather(make(), make())
    assert (await days(house)).count(day) == 1
    async with house.database.transaction() as connection:
        assert await partitions.drop_days(connection, day + timedelta(days=1)) == [day]


async def test_who_reads_an_old_day_is_not_cut_off(open_house: Open) -> None:
    house = await open_house(interaction_retention_days=None)
    await keep_of(house, LONG_AGO)
    async with house.database.transaction() as reading:
        await reading.fetch("SELECT * FROM interactions")
        house = await open_house(interaction_retention_days=30)
        assert (await house.ask(content="meanwhile")).content

        async def recorded() -> bool:
            return bool(await house.rows("SELECT 1 FROM interactions WHERE input_text = 'meanwhile'"))

        await soon(recorded, seconds=30)
        assert await reading.fetchval("SELECT count(*) FROM interactions") >= 1
