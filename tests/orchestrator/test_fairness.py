"""A burst of runs is queued fairly: whoever asks for few is not kept waiting by whoever asks for many."""

import asyncio

import pytest

from common.bus import Bus
from common.context import calling
from common.database import Database

from .answering import Router
from .conftest import eventually
from .workflow_runs import as_, start, workflow

MANY, FEW = 300, 10
AT_ONCE = 4
STARTING = 16


@pytest.mark.parametrize("settings", [{"task_concurrency": AT_ONCE}], indirect=True)
@pytest.mark.usefixtures("service")
async def test_a_user_with_ten_runs_does_not_wait_behind_another_s_hundreds(
    caller: Bus, router: Router, database: Database
) -> None:
    gate = asyncio.Event()

    async def after_the_gate(content: str) -> str:
        await gate.wait()
        return content

    router.answer = after_the_gate
    made = await workflow(caller, {"name": "a", "says": "{who}"}, {"name": "b", "says": "{who}"})

    async def burst(who: str, number: int) -> None:
        numbers = iter(range(number))

        async def starting() -> None:
            for _ in numbers:
                await start(caller, made, who=who)

        with calling(as_(who)):
            await asyncio.gather(*(starting() for _ in range(STARTING)))

    await burst("many", MANY)
    await burst("few", FEW)
    gate.set()

    async def drained() -> bool:
        async with database.connection() as connection:
            return await connection.fetchval("SELECT count(*) = $1 FROM runs WHERE status = 'completed'", MANY + FEW)

    await eventually(drained, within=60)
    assert len(router.contents) == 2 * (MANY + FEW)
    last = max(place for place, who in enumerate(router.contents) if who == "few")
    # Turn and turn about, from when the gate opened: two steps of each run, as many of the other's, what was claimed
    # before, and what a claim takes at once.
    assert last < 2 * 2 * FEW + 4 * AT_ONCE
