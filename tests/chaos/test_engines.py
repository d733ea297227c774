"""Engines that die, hang or answer garbage, as callers of the platform see it."""

import asyncio
from collections import Counter

import pytest

from embedded.platform import Platform
from tests.chaos.callers import Callers, Heard
from tests.chaos.conftest import Serve
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import until
from tests.llm_router.upstream import frame

pytestmark = pytest.mark.e2e

_HALF = b'data: {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "On'


async def test_an_engine_that_is_killed_in_the_middle_of_a_stream_leaves_an_error_and_comes_back(
    platform: Platform, callers: Callers
) -> None:
    model = "simulated-small"
    call = callers.begin(model, stream=True)
    await until(call.begun.is_set)
    old = platform.kill("simulated_small")
    broken = await call.heard()
    assert not broken.whole
    assert broken.text
    assert broken.error is not None
    assert broken.error["code"] == "engine_unavailable"
    # Asked before it is back: the router has patience with an engine that just died.
    again = await callers.ask(model, stream=True)
    assert again.whole
    assert platform.pid("simulated_small") != old
    kept = {item["input_text"]: item for item in await callers.accounts_hold(model, [broken, again])}
    assert kept[broken.content]["error_type"] == "connection"
    assert kept[broken.content]["output_text"].startswith(broken.text)
    assert kept[again.content]["output_text"] == again.text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_hangs_hands_over_to_another(callers: Callers, serve: Serve, stream: bool) -> None:
    engines = await serve(2, timeout=1)
    (model,) = engines[0].names()
    engines[0].faults.append(faults.hang)
    # Each engine has its turn.
    heard = [await callers.ask(model, stream=stream) for _ in range(2)]
    assert [one.text for one in heard] == ["One two three"] * 2
    assert sum(len(engine.requests) for engine in engines) == 3
    await until(engines[0].left.is_set)
    await callers.accounts_hold(model, heard)


async def test_an_engine_that_hangs_alone_is_told_of_with_what_to_do(callers: Callers, serve: Serve) -> None:
    (engine,) = await serve(1, timeout=1)
    engine.faults.extend([faults.hang] * 2)
    (model,) = engine.names()
    status, body = await callers.call("POST", "/api/v1/llm/test", json={"prompt": "Hello", "model_name": model})
    assert status == 504
    assert body["status"] == "error"
    error = body["error"]
    assert (error["type"], error["temporary"]) == ("timeout", True)
    assert error["troubleshooting"]
    assert "1 s" in error["message"]
    (kept,) = await callers.accounts_hold(model, [Heard("Hello", status)])
    assert (kept["route"], kept["error_type"]) == ("test", "timeout")


async def test_a_stream_whose_engine_hangs_half_way_ends_with_an_error(callers: Callers, serve: Serve) -> None:
    (engine,) = await serve()
    engine.faults.append(faults.hang_after_a_word)
    (model,) = engine.names()
    heard = await callers.ask(model, stream=True)
    assert (heard.text, heard.whole) == ("One", False)
    assert heard.error is not None
    assert heard.error["code"] == "timeout"
    # Nobody waits for it any more, so it may stop.
    await until(engine.left.is_set)
    (kept,) = await callers.accounts_hold(model, [heard])
    assert (kept["output_text"], kept["error_type"]) == ("One", "timeout")


GARBAGE = {
    "a web page": faults.body_of(b"<html>It works!</html>"),
    "nothing": faults.body_of(b""),
    "bytes": faults.body_of(b"\xff\xfe\x00\x80"),
    "cut JSON": faults.body_of(b'{"choices": [{"message": {"content": "On'),
    "another shape": faults.body_of(b'{"choices": "none", "usage": 7}'),
    "a number": faults.body_of(b"42"),
    "deep JSON": faults.body_of(b"[" * 100_000),
    "a redirect": faults.redirect("http://127.0.0.1:9/v1/chat/completions"),
    "no HTTP": faults.raw_bytes(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
}
GARBLED_STREAMS = {
    "a web page": faults.raw_stream(b"<html>It works!</html>"),
    "bytes": faults.raw_stream(b"data: \xff\xfe\x00\n\n"),
    "cut in a frame": faults.raw_stream(frame({"content": "One"}), _HALF),
    "another shape": faults.raw_stream(frame({"content": "One"}), b'data: {"choices": 7}\n\n'),
    "a frame of no kind": faults.raw_stream(b"data: 42\n\n"),
    "no text": faults.raw_stream(frame({"content": {"a": 1}})),
    "no end": faults.raw_stream(frame({"content": "One"})),
}


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_is_told_as_such_and_never_crashes_the_router(
    platform: Platform, callers: Callers, serve: Serve, stream: bool
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    router = platform.pid("llm_router")
    heard = []
    for garbage in (GARBLED_STREAMS if stream else GARBAGE).values():
        # What the router tries again before the first token is garbage again; and a good answer closes the breaker.
        engine.faults.extend([garbage] * 3)
        heard.append(await callers.ask(model, stream=stream))
        engine.faults.clear()
        heard.append(await callers.ask(model, stream=stream))
    bad, good = heard[::2], heard[1::2]
    assert [one.whole for one in bad] == [False] * len(bad)
    told = Counter(one.error["code"] for one in bad if one.error is not None)
    assert sum(told.values()) == len(bad)
    assert set(told) <= {"engine_failed", "engine_unavailable"}
    assert all(one.whole for one in good)
    assert platform.pid("llm_router") == router
    kept = await callers.accounts_hold(model, heard)
    assert {item["error_type"] for item in kept} <= {None, "invalid_answer", "connection"}


async def test_an_engine_that_answers_nothing_but_garbage_is_left_alone_until_it_has_recovered(
    callers: Callers, serve: Serve
) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    engine.faults.extend([faults.body_of(b"<html>It works!</html>")] * 5)
    heard = [await callers.ask(model) for _ in range(5)]
    assert {one.status for one in heard} == {502}
    # The breaker is open: these wait for its trial instead of adding to the engine's trouble.
    assert len(engine.requests) == 5
    heard += await asyncio.gather(*(callers.ask(model) for _ in range(5)))
    assert [one.whole for one in heard[5:]] == [True] * 5
    await callers.accounts_hold(model, heard)
