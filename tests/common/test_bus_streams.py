"""Streamed answers between two services on a real NATS server."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common.bus import Bus, serving, streaming
from common.bus.frames import encode, encode_chunks
from common.bus.protocol import Message
from common.context import Call, calling
from common.settings import ServiceSettings
from contracts import router
from contracts.base import Empty, RefusalCode, Refused
from contracts.router import ChatDelta

from .talking import CHAT, CONFIG, FINAL, Seen, handlers


async def test_a_stream_ends_with_its_final_message(asker: Bus, seen: Seen) -> None:
    items = [item async for item in asker.stream(router.CHAT_STREAM, CHAT)]
    assert items == [ChatDelta(content="a"), ChatDelta(content="b"), FINAL]


async def test_a_chunk_leaves_at_once_and_those_that_come_fast_after_it_together(
    asker: Bus, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "GATHER_SECONDS", 60.0)
    batches = asker.batches(router.CHAT_STREAM, CHAT.model_copy(update={"model": "fast"}))
    assert await anext(batches) == [ChatDelta(content="a")]
    seen.heard.set()
    assert await anext(batches) == [*[ChatDelta(content="c")] * 20, ChatDelta(content="b")]
    assert await anext(batches) == FINAL


async def test_a_stream_that_breaks_ends_with_its_refusal(asker: Bus, seen: Seen) -> None:
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "broken"}))
    assert await anext(stream) == ChatDelta(content="a")
    with pytest.raises(Refused, match="The engine broke"):
        await anext(stream)


async def test_a_caller_that_leaves_a_stream_stops_the_work(asker: Bus, seen: Seen) -> None:
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(seen.released.wait(), 1)


async def test_a_caller_that_dies_without_a_word_stops_the_work(
    settings_of: Callable[[str], ServiceSettings], seen: Seen
) -> None:
    dying = await Bus.connect(settings_of("gateway"), "gateway")
    stream = dying.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    wire: Any = dying._wire
    wire._keeping.cancel()
    wire._link._transport.abort()
    await asyncio.wait_for(seen.released.wait(), 5)


async def test_the_first_chunk_may_take_until_the_deadline_and_later_ones_only_so_long(
    asker: Bus, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "PING_SECONDS", 0.05)
    impatient = replace(router.CHAT_STREAM, timeout=0.2)
    stream = asker.stream(impatient, CHAT.model_copy(update={"model": "thoughtful"}))
    asyncio.get_running_loop().call_later(0.5, seen.heard.set)
    assert await anext(stream) == ChatDelta(content="a")
    await stream.aclose()
    seen.heard.clear()
    with calling(Call(deadline=time.time() + 0.5)):
        late = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "thoughtful"}))
        silent = asker.stream(impatient, CHAT.model_copy(update={"model": "slow"}))
        assert await anext(silent) == ChatDelta(content="a")
        for stream in (silent, late):
            with pytest.raises(Refused) as refused:
                await anext(stream)
            assert refused.value.code is RefusalCode.TIMEOUT


async def test_nobody_there_ends_a_stream_as_unavailable(asker: Bus) -> None:
    with pytest.raises(Refused) as refused:
        await anext(asker.stream(router.CHAT_STREAM, CHAT, patience=0.2))
    assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_a_stream_that_lost_a_chunk_on_the_way_does_not_look_finished(asker: Bus, answerer: Bus) -> None:
    def lose_one_of_two(message: Message) -> None:
        answerer._wire.publish(message.reply, encode_chunks(ChatDelta, [ChatDelta(content="b")]))
        answerer._wire.publish(message.reply, encode(FINAL), headers={"Frame": "final", "Chunks": "2"})

    answerer._wire.subscribe(router.CHAT_STREAM.subject, lose_one_of_two, queue="llm_router")
    await answerer._wire.flush()
    stream = asker.stream(router.CHAT_STREAM, CHAT)
    assert await anext(stream) == ChatDelta(content="b")
    with pytest.raises(Refused) as refused:
        await anext(stream)
    assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_long_answers_on_one_subject_do_not_hold_up_another(
    asker: Bus, settings_of: Callable[[str], ServiceSettings]
) -> None:
    busy = await Bus.connect(settings_of("llm_router").model_copy(update={"max_concurrency": 1}), "llm_router")
    await busy.serve(handlers(), Seen())
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    assert await asker.ask(router.GET_CONFIG, Empty(), timeout=2) == CONFIG
    await stream.aclose()
    await busy.close()
