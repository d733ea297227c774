"""Limits over several processes: never more than the limit, never less while a part of it lies elsewhere."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from common.allowances import Allowances, Limit, Window
from common.bus import Bus
from common.database import Database
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from contracts.gateway import ALLOWANCE_WANTED
from embedded.endpoints import Endpoints

Make = Callable[..., Awaitable[Allowances]]


def limit(most: int, window: Window = "total") -> Limit:
    return Limit(f"test:{uuid.uuid4().hex}", most, window)


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    database = await Database.connect(servers["gateway"].database_url, "gateway", size=5)
    await database.migrate("gateway")
    yield database
    await database.close()


@pytest.fixture
async def process(database: Database, settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Make]:
    """Makes what one process holds of the limits, with its connection to the bus."""
    async with AsyncExitStack() as stack:

        async def make(*, strict: bool = True, idle_seconds: float = 30.0) -> Allowances:
            bus = await Bus.connect(settings_of("gateway"), "gateway")
            stack.push_async_callback(bus.close)
            made = Allowances(database, bus, ALLOWANCE_WANTED, strict=strict, idle_seconds=idle_seconds)
            tasks = [asyncio.create_task(made.follow_wanted()), asyncio.create_task(made.sweep())]
            for task in tasks:
                stack.callback(task.cancel)
            return made

        yield make


async def admitted(allowances: Allowances, of: Limit, tries: int, amount: int = 1) -> int:
    standings = await asyncio.gather(*(allowances.take(of, amount) for _ in range(tries)))
    return sum(standing.admitted for standing in standings)


async def test_three_processes_admit_exactly_the_limit(process: Make) -> None:
    processes = [await process() for _ in range(3)]
    await asyncio.sleep(0.3)
    shared = limit(500)
    first = await asyncio.gather(*(admitted(each, shared, 200) for each in processes))
    assert sum(first) == 500


async def test_what_lies_unspent_elsewhere_is_given_back_when_it_is_wanted(process: Make) -> None:
    busy, idle = [await process() for _ in range(2)]
    await asyncio.sleep(0.3)
    shared = limit(80)
    assert await admitted(idle, shared, 1) == 1
    assert await admitted(busy, shared, 100) == 79


async def test_most_of_what_is_admitted_costs_no_question(process: Make) -> None:
    allowances = await process()
    shared = limit(1000)
    await allowances.take(shared)
    spent = 0
    while (standing := allowances.spend(shared)) is not None and standing.admitted:
        spent += 1
        assert standing.remaining == 1000 - 1 - spent
    assert spent == 1000 // 8 - 1


async def test_an_idle_slice_is_given_back(process: Make) -> None:
    idle, other = await process(idle_seconds=0.5), await process()
    shared = limit(80)
    await idle.take(shared)
    await asyncio.sleep(2.5)
    assert (await other.take(shared)).remaining == 78


async def test_amounts_larger_than_a_slice_are_lent_whole(process: Make) -> None:
    allowances = await process()
    shared = limit(100)
    assert (await allowances.take(shared, 90)).admitted
    assert not (await allowances.take(shared, 11)).admitted
    assert (await allowances.take(shared, 10)).admitted


async def test_a_correction_counts_what_was_really_spent(process: Make) -> None:
    one, other = await process(), await process()
    shared = limit(100)
    standing = await one.take(shared, 60)
    one.correct(shared, standing, -50)
    assert (await one.take(shared, 80)).admitted
    one.correct(shared, standing, 30)
    await one.close()
    assert not (await other.take(shared, 1)).admitted


async def test_a_limit_that_was_changed_holds_from_then_on(process: Make) -> None:
    allowances = await process()
    before = limit(1000)
    assert await admitted(allowances, before, 20) == 20
    assert await admitted(allowances, before._replace(most=25), 20) == 5


@pytest.mark.parametrize("window", ["minute", "day", "month"])
async def test_a_window_of_the_calendar_says_when_it_ends(window: Window, process: Make) -> None:
    allowances = await process()
    standing = await allowances.take(limit(10, window))
    assert standing.resets_at is not None
    assert standing.resets_at % 60 == 0
    assert window == "minute" or standing.resets_at % 86400 == 0


async def test_while_the_database_is_away_a_strict_limit_refuses_and_another_holds_by_process(
    servers: Endpoints, process: Make, settings_of: Callable[[str], ServiceSettings]
) -> None:
    database = await Database.connect(servers["gateway"].database_url, "gateway", size=1)
    await database.close()
    bus = await Bus.connect(settings_of("gateway"), "gateway")
    strict = Allowances(database, bus, ALLOWANCE_WANTED, strict=True)
    with pytest.raises(Refused) as refused:
        await strict.take(limit(10))
    assert refused.value.code is RefusalCode.UNAVAILABLE
    lenient = Allowances(database, bus, ALLOWANCE_WANTED, strict=False)
    before = limit(10, "minute")
    assert await admitted(lenient, before, 30) == 10
    async with asyncio.timeout(5):
        assert await admitted(lenient, before._replace(most=4), 30) == 4
    await bus.close()
