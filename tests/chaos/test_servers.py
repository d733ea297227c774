"""NATS, Postgres and the router itself are killed or freeze while calls are on their way."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from embedded.platform import Platform
from tests.chaos.callers import Callers
from tests.chaos.conftest import Serve
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import until

pytestmark = pytest.mark.e2e

_CLEAR = {503, 504}


async def test_callers_hear_an_answer_or_an_error_when_the_bus_restarts(
    platform: Platform, callers: Callers, serve: Serve
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    engine.faults.extend([faults.hang_after_a_word, *[faults.hang] * 8])
    stream = callers.begin(model, stream=True)
    await until(stream.begun.is_set)
    waiting = [callers.begin(model) for _ in range(8)]
    await until(lambda: len(engine.requests) >= 9)

    old = platform.kill("nats")
    during = [callers.begin(model) for _ in range(8)]
    await asyncio.to_thread(platform.wait_restarted, "nats", old)
    engine.let_go.set()
    heard = [await call.heard() for call in (stream, *waiting, *during)]
    for one in heard[1:]:
        assert one.whole or one.status in _CLEAR
    assert heard[0].whole or heard[0].error is not None

    afterwards = [await callers.ask(model, stream=stream) for stream in (False, True)]
    assert all(one.whole for one in afterwards)
    await callers.accounts_hold(model, [*heard, *afterwards], unheard=True)


async def test_callers_of_a_router_that_is_killed_learn_of_it_and_no_answer_of_its_is_lost(
    platform: Platform, callers: Callers, serve: Serve
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    heard = list(await asyncio.gather(*(callers.ask(model, stream=number % 2 == 0) for number in range(20))))
    assert all(one.whole for one in heard)
    engine.faults.extend([faults.hang_after_a_word, *[faults.hang] * 3])
    calls = [callers.begin(model, stream=True)]
    await until(calls[0].begun.is_set)
    calls += [callers.begin(model) for _ in range(3)]
    await until(lambda: len(engine.requests) >= 24)

    # In the moment in which the last of these has its answer.
    last = await asyncio.gather(*(callers.ask(model) for _ in range(5)))
    old = platform.kill("llm_router")
    broken = [await call.heard() for call in calls]
    assert [one.whole for one in broken] == [False] * 4
    assert all(one.error is not None for one in broken)
    assert broken[0].text == "One"
    assert {one.status for one in broken[1:]} <= _CLEAR

    await asyncio.to_thread(platform.wait_restarted, "llm_router", old)
    again = await callers.ask(model)
    assert again.whole
    await callers.accounts_hold(model, [*heard, *last, *broken, again], unheard=True)


async def test_calls_are_answered_while_postgres_freezes_and_recorded_once_it_is_back(
    platform: Platform, callers: Callers, serve: Serve
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    heard = [await callers.ask(model)]
    await callers.accounts_hold(model, heard)
    async with _frozen(platform.pid("postgres")):
        heard += await asyncio.gather(*(callers.ask(model, stream=number % 2 == 0) for number in range(30)))
        assert all(one.whole for one in heard)
    await callers.accounts_hold(model, heard)


async def test_calls_are_answered_while_postgres_is_killed_and_recorded_once_it_is_back(
    platform: Platform, callers: Callers, serve: Serve
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    heard = [await callers.ask(model)]
    back = asyncio.create_task(asyncio.to_thread(platform.wait_restarted, "postgres", platform.kill("postgres")))
    while not back.done() or len(heard) < 30:
        heard.append(await callers.ask(model, stream=len(heard) % 2 == 0))
    await back
    assert all(one.whole for one in heard)
    await callers.accounts_hold(model, heard)


@asynccontextmanager
async def _frozen(postgres: int) -> AsyncIterator[None]:
    """Postgres and all its sessions stand still for the block: nobody hears a word from it, not even a refusal."""
    stopped: list[int] = []
    try:
        for pid in (postgres, *_children(postgres)):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
