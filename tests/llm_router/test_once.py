"""Completions with an idempotency key: made once, told again, and never mixed up."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from common.context import Call, Principal, calling
from common.database import Connection
from contracts.base import RefusalCode, Refused
from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    TEST_PROMPT,
    TEXT_COMPLETE,
    ChatDelta,
    ChatReply,
    TextCompletion,
)
from contracts.router import TestPrompt as PromptToTest
from llm_router.domain.failures import EngineFailure
from llm_router.handlers import once
from llm_router.store import kept
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, chat, soon, until


@asynccontextmanager
async def with_key(key: str, principal: str = "key_1") -> AsyncIterator[None]:
    caller = Principal(id=principal, name="test", role="member")
    with calling(Call(principal=caller, idempotency_key=key)):
        yield


async def ask(house: House, key: str, content: str = "Hello", principal: str = "key_1") -> ChatReply:
    async with with_key(key, principal):
        return await house.bus.ask(CHAT_COMPLETE, chat("m", content), timeout=20)


async def stream(house: House, key: str, content: str = "Hello") -> list[ChatDelta | ChatReply]:
    async with with_key(key):
        return [item async for item in house.bus.stream(CHAT_STREAM, chat("m", content))]


def new_key() -> str:
    return uuid.uuid4().hex


async def test_the_same_key_gets_the_same_completion(open_house: Open) -> None:
    house = await open_house(replicas=2)
    key = new_key()
    first = await ask(house, key)
    assert [await ask(house, key) for _ in range(4)] == [first] * 4
    assert len(house.upstreams[0].requests) == 1


async def test_a_test_of_a_prompt_is_made_once_too(open_house: Open) -> None:
    house = await open_house()
    async with with_key(new_key()):
        answers = [await house.bus.ask(TEST_PROMPT, PromptToTest(prompt="Hello", model_name="m")) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(house.upstreams[0].requests) == 1


async def test_a_key_belongs_to_who_used_it(open_house: Open) -> None:
    house = await open_house()
    key = new_key()
    await ask(house, key)
    await ask(house, key, principal="key_2")
    await ask(house, new_key())
    assert len(house.upstreams[0].requests) == 3


async def test_another_question_with_the_same_key_is_a_conflict(open_house: Open) -> None:
    house = await open_house()
    key = new_key()
    await ask(house, key)
    with pytest.raises(Refused) as caught:
        await ask(house, key, "Something else")
    assert caught.value.code is RefusalCode.CONFLICT
    async with with_key(key):
        with pytest.raises(Refused, match="another request"):
            await house.bus.ask(TEXT_COMPLETE, TextCompletion(model="m", prompt="Hello"))
    assert len(house.upstreams[0].requests) == 1


async def test_a_completion_is_told_again_as_a_stream_and_the_other_way_round(open_house: Open) -> None:
    house = await open_house()
    key = new_key()
    *pieces, reply = await stream(house, key)
    assert len(pieces) == 3
    assert await stream(house, key) == [ChatDelta(content="One two three"), reply]
    assert await ask(house, key) == reply
    assert len(house.upstreams[0].requests) == 1


async def test_who_asks_while_it_is_being_made_waits_for_it(open_house: Open) -> None:
    house = await open_house(replicas=2)
    upstream = house.upstreams[0]
    upstream.faults.append(faults.hang)
    key = new_key()
    asked = [asyncio.create_task(ask(house, key)) for _ in range(3)]
    await upstream.reached.wait()
    await asyncio.sleep(0.3)
    upstream.let_go.set()
    first, *others = await asyncio.gather(*asked)
    assert others == [first] * 2
    assert len(upstream.requests) == 1


async def test_a_failure_is_not_kept(open_house: Open) -> None:
    house = await open_house()
    house.upstreams[0].faults.append(faults.status(400))
    key = new_key()
    with pytest.raises(Refused):
        await ask(house, key)
    assert (await ask(house, key, "Another question")).content == "One two three"


async def test_a_completion_goes_on_when_its_caller_leaves_who_may_ask_for_it_again(open_house: Open) -> None:
    house = await open_house(replicas=2)
    upstream = house.upstreams[0]
    upstream.faults.append(faults.hang)
    key = new_key()
    leaving = asyncio.create_task(ask(house, key))
    await upstream.reached.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    again = asyncio.create_task(ask(house, key))
    # On the same connection the first caller's leaving is heard before this question.
    await ask(house, new_key())
    upstream.let_go.set()
    assert (await again).content == "One two three"
    assert len(upstream.requests) == 2


async def fail_late(upstream: faults.Upstream, request: web.Request, body: faults.Json) -> web.StreamResponse | None:
    await faults.hang(upstream, request, body)
    return await faults.status(400)(upstream, request, body)


async def leave(asking: "asyncio.Task[ChatReply]") -> None:
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_who_leaves_while_another_makes_it_waits_no_more_and_asks_nothing(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[uuid.UUID] = []
    claim = kept.claim

    async def noted(*arguments: Any, **options: Any) -> bool:
        tries.append(arguments[-1])
        return await claim(*arguments, **options)

    monkeypatch.setattr(kept, "claim", noted)
    house = await open_house()
    upstream = house.upstreams[0]
    upstream.faults.append(fail_late)
    key = new_key()
    making = asyncio.create_task(ask(house, key))
    await upstream.reached.wait()
    leaving = asyncio.create_task(ask(house, key))
    await until(lambda: len(set(tries)) == 2)
    await leave(leaving)
    staying = asyncio.create_task(ask(house, key))
    # On the same connection the leaving is heard before this one.
    await until(lambda: len(set(tries)) == 3)
    left, last = tries[1], tries[-1]
    del tries[:]
    await until(lambda: tries.count(last) == 3)
    assert left not in tries
    upstream.let_go.set()
    with pytest.raises(Refused):
        await making
    assert (await staying).content == "One two three"
    assert len(upstream.requests) == 2


async def test_only_so_many_completions_go_on_without_their_callers_whose_failures_disturb_nobody(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "_MOST_ABANDONED", 1)
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context.get("exception")))
    house = await open_house()
    upstream = house.upstreams[0]
    keys = [new_key(), new_key()]
    upstream.faults += [fail_late, fail_late]
    for key in keys:
        assert not upstream.left.is_set()
        upstream.reached.clear()
        asking = asyncio.create_task(ask(house, key))
        await upstream.reached.wait()
        await leave(asking)
    await upstream.left.wait()
    upstream.let_go.set()

    async def all_given_back() -> bool:
        return not await house.rows("SELECT FROM kept_completions WHERE key = ANY($1)", keys)

    await soon(all_given_back)
    gc.collect()
    loop.set_exception_handler(None)
    assert not [error for error in reported if isinstance(error, EngineFailure)]


async def test_a_stream_that_was_left_can_be_asked_for_again(open_house: Open) -> None:
    house = await open_house()
    upstream = house.upstreams[0]
    upstream.faults.append(faults.hang_after_a_word)
    key = new_key()
    async with with_key(key), aclosing(house.bus.stream(CHAT_STREAM, chat("m", "Hello"))) as items:
        await anext(items)
    await until(upstream.left.is_set)
    assert len(await stream(house, key)) == 4


@asynccontextmanager
async def being_kept(house: House) -> AsyncIterator[tuple[Connection, int]]:
    """While the upstream's next answer is being kept: somebody locks the table. Gives the process that waits for it."""
    upstream = house.upstreams[0]
    await upstream.reached.wait()
    async with house.database.transaction() as connection:
        await connection.execute("LOCK TABLE kept_completions IN ACCESS EXCLUSIVE MODE")
        upstream.let_go.set()

        async def waits() -> int | None:
            pid: int | None = await connection.fetchval(
                "SELECT pid FROM pg_locks WHERE relation = 'kept_completions'::regclass AND NOT granted"
            )
            return pid

        yield connection, await soon(waits)


async def test_what_is_answered_is_kept_though_its_caller_leaves_meanwhile(open_house: Open) -> None:
    house = await open_house()
    upstream = house.upstreams[0]
    upstream.faults.append(faults.hang)
    key = new_key()
    asking = asyncio.create_task(stream(house, key))
    async with being_kept(house):
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert (await ask(house, key)).content == "One two three"
    assert len(upstream.requests) == 1


async def test_what_is_answered_while_the_database_is_away_is_kept_when_it_is_back(open_house: Open) -> None:
    house = await open_house()
    upstream = house.upstreams[0]
    upstream.faults.append(faults.hang)
    key = new_key()
    asking = asyncio.create_task(ask(house, key))
    async with being_kept(house) as (connection, keeper):
        await connection.execute("SELECT pg_terminate_backend($1)", keeper)
        first = await asking
    assert await ask(house, key) == first
    assert len(upstream.requests) == 1


async def test_one_whose_maker_died_is_made_by_another(open_house: Open) -> None:
    house = await open_house(idempotency_lease_seconds=1)
    key = new_key()
    async with house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO kept_completions (principal, key, fingerprint, holder, held_until, expires_at)"
            " VALUES ('key_1', $1, '', gen_random_uuid(), clock_timestamp() + interval '1 hour',"
            " clock_timestamp() + interval '1 day')",
            key,
        )
    with pytest.raises(Refused):  # it is still held, for another question
        await ask(house, key)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE kept_completions SET held_until = clock_timestamp() WHERE key = $1", key)
    assert (await ask(house, key)).content == "One two three"


async def test_what_has_expired_is_made_anew_and_in_the_end_forgotten(open_house: Open) -> None:
    house = await open_house(idempotency_seconds=0.2)
    key = new_key()
    await ask(house, key)
    await asyncio.sleep(0.3)
    await ask(house, key)
    assert len(house.upstreams[0].requests) == 2
    await asyncio.sleep(0.3)
    await open_house()  # a router that starts sweeps

    async def gone() -> bool:
        return not await house.rows("SELECT FROM kept_completions WHERE key = $1", key)

    assert await soon(gone)
