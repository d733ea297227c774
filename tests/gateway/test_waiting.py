"""Answers that are long in coming: what their callers hear meanwhile, and how they hear that there will be none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import openai
import orjson
import pytest

from common.bus import serving
from contracts.base import RefusalCode, Refused
from contracts.router import CHAT_STREAM, TEST_STREAM, TEXT_STREAM, ChatDelta, ChatReply
from gateway.edge.streams import STILL_HERE
from tests.gateway.conftest import ADMIN_KEY, Gateway, Start
from tests.gateway.peers import REPLY, Peers

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}", "Accept": "text/event-stream"}
PATIENCE = 8.0
BODIES = {
    "/v1/chat/completions": {"model": "m", "messages": MESSAGES, "stream": True},
    "/v1/completions": {"model": "m", "prompt": "Hello", "stream": True},
    "/v1/responses": {"model": "m", "input": "Hello", "stream": True},
    "/api/v1/llm/test": {"prompt": "Hello"},
}
ENDS = {
    "/v1/chat/completions": b"data: [DONE]",
    "/v1/completions": b"data: [DONE]",
    "/v1/responses": b"event: response.completed",
    "/api/v1/llm/test": b"event: result",
}
every_api = pytest.mark.parametrize("path", BODIES)


@dataclass
class Engine:
    """Answers when it is let: by a piece, and then the whole; or it refuses. Knows whether it was stopped."""

    refusal: Refused | None = None
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, _: object) -> AsyncIterator[ChatDelta | ChatReply]:
        try:
            await self.go_on.acquire()
            if self.refusal is not None:
                raise self.refusal
            yield ChatDelta(content="Hello")
            # Told by the Responses API not at all.
            yield ChatDelta(extra={"of_an_engine_alone": 1})
            await self.go_on.acquire()
            yield REPLY
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.set()
            raise


def engine(peers: Peers, refusal: Refused | None = None) -> Engine:
    """One that answers on behalf of every API."""
    made = Engine(refusal)
    for stream in (CHAT_STREAM, TEXT_STREAM, TEST_STREAM):
        peers.stream(stream, made.answer)
    return made


@pytest.fixture
async def gateway(start: Start, peers: Peers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """One whose callers have little patience."""
    monkeypatch.setattr(serving, "PING_SECONDS", 0.02)
    async with start(heartbeat_seconds=0.05) as started:
        yield started


@asynccontextmanager
async def asking(gateway: Gateway, path: str) -> AsyncIterator[aiohttp.StreamReader]:
    """The answer's body, once its head has come."""
    async with asyncio.timeout(PATIENCE):
        async with gateway.client.post(gateway.url + path, headers=HEADERS, json=BODIES[path]) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            yield response.content


async def comments(body: aiohttp.StreamReader, count: int) -> bytes:
    """What comes before so many comments have."""
    before = b""
    while count:
        event = await body.readuntil(b"\n\n")
        count -= event == STILL_HERE
        before += event.replace(STILL_HERE, b"")
    return before


@every_api
async def test_who_waits_hears_that_somebody_is_there(path: str, gateway: Gateway, peers: Peers) -> None:
    asked = engine(peers)
    async with asking(gateway, path) as body:
        assert await comments(body, 2) == b""
        asked.go_on.release()
        assert b"Hello" in await comments(body, 2)
        asked.go_on.release()
        last = (await body.read()).replace(STILL_HERE, b"").rstrip().split(b"\n\n")[-1]
    assert last.startswith(ENDS[path])


@every_api
async def test_a_refusal_that_is_late_is_told_by_the_stream(path: str, gateway: Gateway, peers: Peers) -> None:
    asked = engine(peers, Refused(RefusalCode.NOT_FOUND, "There is no such model"))
    async with asking(gateway, path) as body:
        await comments(body, 1)
        asked.go_on.release()
        events = (await body.read()).replace(STILL_HERE, b"").rstrip()
    assert ENDS[path] not in events
    last = orjson.loads(events.rpartition(b"data: ")[2])
    if path.startswith("/v1/"):
        assert (last["error"]["code"], last["error"]["param"]) == ("model_not_found", "model")
    else:
        assert last["error"]["type"] == "not_found"
    if path == "/v1/responses":
        kinds = [event.split(b"\n")[0] for event in events.split(b"\n\n")]
        assert kinds[0] == b"event: response.created"
        assert kinds[-2:] == [b"event: response.failed", b"event: error"]


async def test_a_refusal_that_comes_in_time_has_a_status(
    start: Start, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, pings, ping = engine(peers, Refused(RefusalCode.NOT_FOUND, "No such model")), [], serving._Answering.ping

    def count(answering: Any, message: Any) -> None:
        ping(answering, message)
        pings.append(message)
        if len(pings) == 3:
            asked.go_on.release()

    monkeypatch.setattr(serving, "PING_SECONDS", 0.02)
    monkeypatch.setattr(serving._Answering, "ping", count)
    path = "/v1/chat/completions"
    async with start() as gateway:
        status, body, _ = await gateway.call("POST", path, json=BODIES[path])
    assert (status, body["error"]["code"]) == (404, "model_not_found")


@every_api
async def test_who_gives_up_waiting_stops_the_engine(path: str, gateway: Gateway, peers: Peers) -> None:
    asked = engine(peers)
    async with asking(gateway, path) as body:
        await comments(body, 1)
    await asyncio.wait_for(asked.stopped.wait(), PATIENCE)


async def test_openai_s_client_waits(gateway: Gateway, peers: Peers) -> None:
    asked = engine(peers)
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ADMIN_KEY, max_retries=0) as client:
        # It has the head, which nothing but silence could have brought.
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        asked.go_on.release()
        asked.go_on.release()
        pieces = [chunk.choices[0].delta.content async for chunk in stream]
    assert pieces[:2] == ["", "Hello"]
    assert pieces[-1] is None
