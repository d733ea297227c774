"""Watching runs: document C's messages over `/ws` and as server-sent events, in order, once, to who may see them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from prometheus_client import REGISTRY

from contracts.base import RefusalCode, Refused
from contracts.run_events import RUN_TOLD, WATCH_RUN, RunTold, WatchedRun
from contracts.workflow_runs import GetWorkflowRun
from tests.gateway.conftest import ADMIN_KEY, Gateway, Start
from tests.gateway.peers import Peers
from tests.gateway.test_logs import Events
from tests.gateway.test_people import browser, person

Json = dict[str, Any]


def progress(run_id: int, percent: int = 50) -> Json:
    data = {"runId": run_id, "payloadId": 1, "payloadName": "Initial Request", "status": "running"}
    return {"type": "execution_progress", "data": {**data, "progress": percent, "metadata": {"tokens_per_second": 30}}}


def response(run_id: int, content: str = "Generated response from the payload") -> Json:
    metadata = {
        "tokens": 150,
        "promptTokens": 50,
        "completionTokens": 100,
        "duration_ms": 5000,
        "tokens_per_second": 30,
    }
    data = {"runId": run_id, "payloadId": 1, "payloadName": "Initial Request", "content": content, "metadata": metadata}
    return {"type": "payload_completed", "data": data}


def completed(run_id: int) -> Json:
    return {"type": "workflow_completed", "data": {"runId": run_id, "status": "completed"}}


def failed(run_id: int) -> Json:
    return {"type": "workflow_failed", "data": {"runId": run_id, "error": "Error message describing the failure"}}


@dataclass
class Run:
    """A run of a scripted orchestrator, which only its owner and admins may watch."""

    peers: Peers
    run_id: int
    owner: str = "admin"
    status: Any = "running"
    seconds_since_end: float | None = None

    def __post_init__(self) -> None:
        self.peers.answer(WATCH_RUN, self._watched)

    def _watched(self, request: GetWorkflowRun) -> WatchedRun:
        principal = self.peers.call(WATCH_RUN).principal
        if request.run_id != self.run_id or principal is None or principal.id not in ("admin", self.owner):
            raise Refused(RefusalCode.NOT_FOUND, "Run not found")
        return WatchedRun(run_id=self.run_id, status=self.status, seconds_since_end=self.seconds_since_end)

    async def tell(self, *messages: Json) -> None:
        """As one thing that happened."""
        await self.peers.buses["orchestrator"].publish(
            RUN_TOLD,
            RunTold.model_validate({"owner": self.owner, "messages": messages}),
            message_id=uuid.uuid4().hex,
            key=str(self.run_id),
        )

    def end(self, *, seconds_ago: float = 0.0) -> None:
        self.status, self.seconds_since_end = "completed", seconds_ago


def new_id() -> int:
    return uuid.uuid4().int % 2**52 + 1


@pytest.fixture
def run(peers: Peers) -> Run:
    return Run(peers, new_id())


@asynccontextmanager
async def socket(
    gateway: Gateway, query: str = "", *, key: str | None = ADMIN_KEY, **options: Any
) -> AsyncIterator[ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with gateway.client.ws_connect(f"{gateway.url}/ws{query}", headers=headers, **options) as opened:
        yield opened


async def refused(gateway: Gateway, query: str = "", **options: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        async with socket(gateway, query, **options):
            pass
    return error.value.status


async def heard(opened: ClientWebSocketResponse, count: int) -> list[Json]:
    async with asyncio.timeout(8):
        return [orjson.loads((await opened.receive()).data) for _ in range(count)]


async def closed(opened: ClientWebSocketResponse) -> tuple[int, str]:
    """The code and the reason with which the gateway closes it, after whatever else it sends."""
    async with asyncio.timeout(15):
        while (message := await opened.receive()).type is WSMsgType.TEXT:
            pass
    assert message.type is WSMsgType.CLOSE, message
    return message.data, message.extra


def without_ids(messages: list[Json]) -> list[Json]:
    ids = [message.pop("id") for message in messages]
    assert ids == sorted(set(ids)), "ids grow"
    return messages


async def member(gateway: Gateway) -> tuple[str, str]:
    """A key, and the id of who calls with it."""
    made = await gateway.post("/api/v1/keys", {"name": "Ada", "role": "member"}, status=201)
    return made["key"], made["key_id"]


async def test_messages_come_in_document_c_s_form_and_in_order(gateway: Gateway, run: Run) -> None:
    other = Run(run.peers, new_id())
    async with socket(gateway) as opened:
        await run.tell(progress(run.run_id))
        await run.tell(response(run.run_id), completed(run.run_id))
        await other.tell(failed(other.run_id))
        messages = without_ids(await heard(opened, 4))
    assert messages == [progress(run.run_id), response(run.run_id), completed(run.run_id), failed(other.run_id)]


async def test_who_comes_back_misses_nothing_and_sees_nothing_twice(gateway: Gateway, run: Run) -> None:
    expected = [progress(run.run_id, percent) for percent in range(5)]
    async with socket(gateway) as opened:
        await run.tell(*expected[:2])
        first, _ = await heard(opened, 2)
    await run.tell(expected[2])
    await run.tell(expected[3])
    # It had seen the first of two that happened at once.
    async with socket(gateway, f"?last_event_id={first['id']}") as opened:
        assert without_ids(await heard(opened, 3)) == expected[1:4]
        await run.tell(expected[4])
        assert without_ids(await heard(opened, 1)) == expected[4:]


async def test_what_a_worker_says_after_its_run_has_ended_is_not_heard(gateway: Gateway, run: Run) -> None:
    other = Run(run.peers, new_id())
    async with socket(gateway) as opened:
        for message in (progress(run.run_id), response(run.run_id), failed(run.run_id), progress(run.run_id, 60)):
            await run.tell(message)
        await other.tell(progress(other.run_id))
        messages = await heard(opened, 4)
    assert [message["type"] for message in messages[:3]] == [
        "execution_progress",
        "payload_completed",
        "workflow_failed",
    ]
    assert messages[3]["data"]["runId"] == other.run_id
    for number in range(3):
        async with socket(gateway, f"?last_event_id={messages[number]['id']}") as opened:
            assert await heard(opened, 3 - number) == messages[number + 1 :]


async def test_every_gateway_process_tells_the_same(start: Start, gateway: Gateway, run: Run) -> None:
    async with start() as second, socket(gateway) as here, socket(second) as there:
        await run.tell(progress(run.run_id), response(run.run_id))
        told = await heard(here, 2)
        assert await heard(there, 2) == told
        async with socket(second, f"?last_event_id={told[0]['id']}") as again:
            assert await heard(again, 1) == told[1:]


async def test_nothing_is_missed_between_what_is_kept_and_what_comes(gateway: Gateway, run: Run) -> None:
    async with socket(gateway) as opened:
        await run.tell(progress(run.run_id, 0))
        (first,) = await heard(opened, 1)

    async def tell() -> None:
        for number in range(200):
            await run.tell(response(run.run_id, str(number)))

    telling = asyncio.create_task(tell())
    places = f"?last_event_id={first['id']}"
    async with socket(gateway, places) as one, socket(gateway, places + f"&run_id={run.run_id}") as two:
        for opened in (one, two):
            messages = without_ids(await heard(opened, 200))
            assert [message["data"]["content"] for message in messages] == [str(number) for number in range(200)]
    await telling


async def test_a_caller_sees_its_own_runs_an_admin_all_and_both_the_one_they_ask_for(
    gateway: Gateway, peers: Peers
) -> None:
    key, owner = await member(gateway)
    mine, others, more = Run(peers, new_id(), owner), Run(peers, new_id(), "somebody"), Run(peers, new_id(), owner)
    async with (
        socket(gateway, key=key) as ada,
        socket(gateway, f"?run_id={more.run_id}", key=key) as one,
        socket(gateway) as admin,
    ):
        for run in (others, mine, more):
            await run.tell(completed(run.run_id))
        assert [message["data"]["runId"] for message in await heard(admin, 3)] == [
            others.run_id,
            mine.run_id,
            more.run_id,
        ]
        assert [message["data"]["runId"] for message in await heard(ada, 2)] == [mine.run_id, more.run_id]
        assert [message["data"]["runId"] for message in await heard(one, 1)] == [more.run_id]
    async with socket(gateway, "?last_event_id=0", key=key) as ada:
        assert [message["data"]["runId"] for message in await heard(ada, 2)] == [mine.run_id, more.run_id]


async def test_nobody_gets_in_without_a_key_or_without_a_handshake(gateway: Gateway) -> None:
    assert await refused(gateway, key=None) == 401
    assert await refused(gateway, key="llmp_wrong") == 401
    assert await refused(gateway, "?ticket=wrong", key=None) == 401
    status, body, _ = await gateway.call("GET", "/ws")
    assert (status, body) == (400, {"error": "Only WebSocket handshakes are answered here"})
    status, body, _ = await gateway.call("GET", "/ws?last_event_id=x")
    assert (status, set(body)) == (400, {"error"})


async def test_a_ticket_opens_one_stream_as_its_caller_at_any_gateway(
    start: Start, gateway: Gateway, peers: Peers
) -> None:
    key, owner = await member(gateway)
    run = Run(peers, new_id(), owner)
    async with start(ticket_seconds=1) as second:
        for path in ("ws", "sse"):
            status, made, _ = await gateway.call("POST", "/api/v1/tickets", key=key)
            assert (status, made["expires_in"]) == (201, 30)
            query = f"?ticket={made['ticket']}"
            if path == "ws":
                async with socket(second, query, key=None) as opened:
                    await run.tell(completed(run.run_id))
                    assert without_ids(await heard(opened, 1)) == [completed(run.run_id)]
            else:
                assert "workflow_completed" in await second.get(f"/api/runs/{run.run_id}/events{query}", key=None)
            assert await refused(gateway, query, key=None) == 401
        assert (await gateway.call("GET", f"/api/v1/me?ticket={made['ticket']}", key=None))[0] == 401
        _, made, _ = await second.call("POST", "/api/v1/tickets")
        await asyncio.sleep(1.1)
        assert await refused(second, f"?ticket={made['ticket']}", key=None) == 401


async def test_a_session_is_heeded_from_the_platform_s_own_pages_alone(start: Start, peers: Peers) -> None:
    async with start(allowed_origins=("https://app.example.com",)) as gateway, browser(gateway) as page:
        user = await person(gateway)
        await page.log_in(user["name"])
        run = Run(peers, new_id(), user["user_id"])
        for origin in (gateway.url, "https://app.example.com"):
            async with page.client.ws_connect(f"{gateway.url}/ws", origin=origin) as opened:
                await run.tell(progress(run.run_id))
                await heard(opened, 1)
        for origin in ("https://evil.example.com", "http://[", None):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await page.client.ws_connect(f"{gateway.url}/ws", origin=origin)
            assert error.value.status == 403


def closings(code: int) -> float:
    return REGISTRY.get_sample_value("gateway_sockets_closed_total", {"code": str(code)}) or 0.0


async def test_a_client_that_is_too_slow_is_told_so_and_harms_nobody(start: Start, run: Run) -> None:
    content, before = "x" * 200_000, closings(4408)
    async with start(watching_bytes=500_000) as gateway, socket(gateway) as slow, socket(gateway) as quick:
        async with asyncio.timeout(20):
            number = 0
            while closings(4408) == before:
                await run.tell(response(run.run_id, f"{number}{content}"))
                (message,) = await heard(quick, 1)
                assert message["data"]["content"].startswith(f"{number}x")
                number += 1
        code, reason = await closed(slow)
        assert (code, "last_event_id" in reason) == (4408, True)
        await run.tell(progress(run.run_id))
        assert without_ids(await heard(quick, 1)) == [progress(run.run_id)]


async def test_a_caller_watches_so_often_at_once_and_no_more(
    gateway: Gateway, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.watching._MOST_AT_ONCE", 2)
    key, _ = await member(gateway)
    async with socket(gateway, key=key), socket(gateway, key=key):
        assert await refused(gateway, key=key) == 429
        async with socket(gateway):
            pass


async def test_a_place_that_is_not_kept_is_told_so(gateway: Gateway) -> None:
    async with socket(gateway, f"?last_event_id={10**15}") as opened:
        assert (await closed(opened))[0] == 4410


async def test_what_clients_say_is_not_heeded_and_bounded(gateway: Gateway, run: Run) -> None:
    async with socket(gateway) as opened:
        await opened.send_str("hello")
        await run.tell(progress(run.run_id))
        await heard(opened, 1)
        await opened.send_str("x" * 100_000)
        assert (await closed(opened))[0] == 1009


async def test_who_watches_while_nothing_happens_is_pinged(start: Start, peers: Peers) -> None:
    async with start(heartbeat_seconds=0.05) as gateway, socket(gateway, autoping=False) as opened:
        for _ in range(2):
            message = await opened.receive(timeout=8)
            assert message.type is WSMsgType.PING
            await opened.pong(message.data)


async def test_whoever_loses_the_key_is_let_go(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.sockets._LOOK_AGAIN_SECONDS", 0.05)
    key, key_id = await member(gateway)
    async with socket(gateway, key=key) as opened:
        await gateway.call("DELETE", f"/api/v1/keys/{key_id}")
        assert (await closed(opened))[0] == 4401


async def test_a_gateway_that_ends_says_so(start: Start, peers: Peers) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client:
        async with start(shutdown_seconds=30) as gateway:
            opened = await client.ws_connect(f"{gateway.url}/ws")
            waiting = asyncio.create_task(closed(opened))
        assert (await waiting)[0] == 1001


# Server-sent events


@asynccontextmanager
async def following(
    gateway: Gateway, run_id: int, *, after: str | None = None, key: str = ADMIN_KEY
) -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {key}", **({"Last-Event-ID": after} if after else {})}
    async with gateway.client.get(f"{gateway.url}/api/runs/{run_id}/events", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Events(response)


async def next_message(events: Events) -> Json:
    event = await events.next()
    message: Json = orjson.loads(event["data"])
    assert event["id"] == str(message.pop("id"))
    return message


async def test_a_run_is_followed_from_its_beginning_to_its_end(gateway: Gateway, run: Run) -> None:
    await run.tell(progress(run.run_id))
    async with following(gateway, run.run_id) as events:
        assert await next_message(events) == progress(run.run_id)
        await run.tell(response(run.run_id))
        assert await next_message(events) == response(run.run_id)
        run.end()
        await run.tell(completed(run.run_id))
        assert await next_message(events) == completed(run.run_id)
        assert await events.next() == {"event": "end", "data": f'{{"run_id":{run.run_id},"status":"completed"}}'}
        assert await events.next() == {}


async def test_a_follower_who_comes_back_goes_on_after_what_it_has_seen(gateway: Gateway, run: Run) -> None:
    await run.tell(progress(run.run_id), response(run.run_id), completed(run.run_id))
    run.end()
    async with following(gateway, run.run_id) as events:
        seen = (await events.next())["id"]
    async with following(gateway, run.run_id, after=seen) as events:
        assert await next_message(events) == response(run.run_id)
        last = (await events.next())["id"]
    async with following(gateway, run.run_id, after=last) as events:
        assert (await events.next())["event"] == "end"


async def test_an_old_run_whose_messages_are_not_kept_ends_at_once(gateway: Gateway, run: Run) -> None:
    run.end(seconds_ago=10**6)
    async with asyncio.timeout(5), following(gateway, run.run_id) as events:
        assert (await events.next())["event"] == "end"


async def test_another_owner_s_run_is_not_there(gateway: Gateway, run: Run) -> None:
    key, _ = await member(gateway)
    status, body, _ = await gateway.call("GET", f"/api/runs/{run.run_id}/events", key=key)
    assert (status, body) == (404, {"error": "Run not found"})
    assert await refused(gateway, f"?run_id={run.run_id}", key=key) == 404
    assert await refused(gateway, f"?run_id={new_id()}") == 404
