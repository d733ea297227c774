"""A run's log as server-sent events: in order, once, resumable, and with an end."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import nats
import orjson
import pytest
from prometheus_client import REGISTRY

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    GET_JOB,
    GET_LOGS,
    JOB_ENDED,
    LOG_RECORDED,
    GetJob,
    GetLogs,
    Job,
    JobEnded,
    LogEntry,
    LogPage,
    LogRecord,
)
from embedded.endpoints import Endpoints
from tests.gateway.conftest import ADMIN_KEY, Gateway, Start
from tests.gateway.peers import MOMENT, Peers, job


@dataclass
class Run:
    """A run of a scripted orchestrator: its log goes to JetStream, and to the history when a test says so."""

    peers: Peers
    run_id: str
    status: str = "running"
    completed_at: datetime | None = None

    def __post_init__(self) -> None:
        self.history: list[LogEntry] = []
        self._count = 0
        self.peers.answer(GET_JOB, self._job)
        self.peers.answer(GET_LOGS, self._page)

    def _job(self, request: GetJob) -> Job:
        if request.job_id != f"job_{self.run_id}":
            raise Refused(RefusalCode.NOT_FOUND, "There is no such job")
        return job(self.run_id, self.status, completed_at=self.completed_at)

    def _page(self, request: GetLogs) -> LogPage:
        entries = [entry for entry in self.history if entry.sequence > request.after][: request.limit]
        return LogPage(run_id=self.run_id, entries=entries, total=len(self.history))

    def record(self, message: str, **numbers: Any) -> LogRecord:
        level: Any = "METRIC" if numbers else "INFO"
        return LogRecord(
            run_id=self.run_id, timestamp=MOMENT, agent="DatasetAgent", level=level, message=message, **numbers
        )

    async def log(self, *messages: str, **numbers: Any) -> None:
        for message in messages:
            self._count += 1
            await self.peers.buses["orchestrator"].publish(
                LOG_RECORDED,
                self.record(message, **numbers),
                message_id=f"{self.run_id}-{self._count}",
                key=self.run_id,
            )

    async def end(self, *, told: bool = True) -> None:
        self.status, self.completed_at = "completed", datetime.now(UTC)
        if told:
            body = JobEnded(job_id=f"job_{self.run_id}", run_id=self.run_id, status="completed")
            await self.peers.buses["orchestrator"].publish(JOB_ENDED, body, message_id=f"{self.run_id}-ended")


class Events:
    """The events of a stream as its client sees them, comments apart."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self.comments: list[str] = []

    async def next(self) -> dict[str, str]:
        """The fields of the next event; none at the stream's end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(8):
            async for raw in self._content:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments.append(line)
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif set(fields) - {"retry"}:
                    return fields
        return {}

    async def records(self, count: int) -> list[dict[str, Any]]:
        return [orjson.loads((await self.next())["data"]) for _ in range(count)]

    async def messages(self, count: int) -> list[str]:
        return [record["message"] for record in await self.records(count)]


@asynccontextmanager
async def following(gateway: Gateway, run_id: str, after: str | None = None, query: str = "") -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", **({"Last-Event-ID": after} if after else {})}
    async with gateway.client.get(f"{gateway.url}/api/v1/logs/stream/{run_id}{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Events(response)


@pytest.fixture
def run(peers: Peers) -> Run:
    return Run(peers, f"run-{uuid.uuid4().hex[:12]}")


async def test_what_was_logged_and_what_is_logged_now_come_in_order(gateway: Gateway, run: Run) -> None:
    await run.log("one", "two")
    async with following(gateway, run.run_id) as events:
        assert await events.messages(2) == ["one", "two"]
        await run.log("three")
        assert await events.messages(1) == ["three"]


async def test_a_record_is_written_as_in_document_e(gateway: Gateway, run: Run) -> None:
    await run.log("Starting dataset ingestion")
    await run.log("Training step completed", step=100, epoch=1, loss=1.85)
    async with following(gateway, run.run_id) as events:
        info, metric = await events.records(2)
    shared = {"run_id": run.run_id, "timestamp": "2026-01-02T03:04:05.000000Z", "agent": "DatasetAgent"}
    assert info == {**shared, "level": "INFO", "message": "Starting dataset ingestion"}
    assert metric == {
        **shared,
        "level": "METRIC",
        "message": "Training step completed",
        "step": 100,
        "epoch": 1.0,
        "loss": 1.85,
    }


async def test_records_of_one_level_or_agent_are_sent_alone_with_their_places(gateway: Gateway, run: Run) -> None:
    await run.log("one")
    await run.log("measured", step=1)
    await run.log("three")
    async with following(gateway, run.run_id) as events:
        _, second, _ = [await events.next() for _ in range(3)]
    async with following(gateway, run.run_id, query="?level=METRIC&agent=DatasetAgent") as events:
        assert second.items() <= (await events.next()).items()
        await run.log("measured again", step=2)
        assert await events.messages(1) == ["measured again"]


async def test_another_run_s_log_is_not_heard(gateway: Gateway, run: Run, peers: Peers) -> None:
    other = Run(peers, f"run-{uuid.uuid4().hex[:12]}")
    await other.log("not for you")
    mine = Run(peers, run.run_id)
    await mine.log("for you")
    async with following(gateway, run.run_id) as events:
        assert await events.messages(1) == ["for you"]


async def test_a_client_that_comes_back_misses_nothing_and_sees_nothing_twice(gateway: Gateway, run: Run) -> None:
    await run.log("one", "two", "three")
    async with following(gateway, run.run_id) as events:
        await events.next()
        seen = (await events.next())["id"]
    await run.log("four")
    async with following(gateway, run.run_id, after=seen) as events:
        assert await events.messages(2) == ["three", "four"]


async def test_the_stream_ends_when_the_job_has_and_all_is_sent(gateway: Gateway, run: Run) -> None:
    async with following(gateway, run.run_id) as events:
        await run.log("one", "two")
        await run.end()
        assert await events.messages(2) == ["one", "two"]
        end = await events.next()
        assert end == {"event": "end", "data": f'{{"run_id":"{run.run_id}","status":"completed"}}'}
        assert await events.next() == {}


async def test_a_record_that_is_late_still_comes_before_the_end(gateway: Gateway, run: Run) -> None:
    async with following(gateway, run.run_id) as events:
        await run.end()
        await asyncio.sleep(0.5)
        await run.log("late")
        assert await events.messages(1) == ["late"]
        assert (await events.next())["event"] == "end"


async def test_an_end_that_went_unheard_is_found_out(start: Start, run: Run) -> None:
    async with start(heartbeat_seconds=0.3) as gateway, following(gateway, run.run_id) as events:
        await run.log("one")
        assert await events.messages(1) == ["one"]
        await run.end(told=False)
        assert (await events.next())["event"] == "end"


async def test_the_log_of_a_job_that_is_deleted_meanwhile_is_left(start: Start, run: Run, peers: Peers) -> None:
    async with start(heartbeat_seconds=0.3) as gateway, following(gateway, run.run_id) as events:
        await run.log("one")
        assert await events.messages(1) == ["one"]
        for asked in (GET_JOB, GET_LOGS):
            peers.answer(asked, Refused(RefusalCode.NOT_FOUND, "There is no such job"))
        # Whoever comes back is told that it is gone.
        with suppress(aiohttp.ClientPayloadError):
            assert await events.next() == {}


async def test_a_job_that_has_just_ended_is_sent_whole(gateway: Gateway, run: Run) -> None:
    await run.log("one", "two")
    await run.end()
    async with following(gateway, run.run_id) as events:
        assert await events.messages(2) == ["one", "two"]
        assert (await events.next())["event"] == "end"


async def test_an_old_job_s_log_comes_from_the_history_at_once(gateway: Gateway, run: Run) -> None:
    run.status, run.completed_at = "failed", datetime.now(UTC) - timedelta(days=30)
    run.history = [LogEntry(sequence=n, record=run.record(str(n))) for n in range(1, 2501)]
    async with asyncio.timeout(3), following(gateway, run.run_id, after="3") as events:
        assert await events.messages(2497) == [str(n) for n in range(4, 2501)]
        assert orjson.loads((await events.next())["data"])["status"] == "failed"


async def test_what_the_stream_no_longer_keeps_comes_from_the_history(gateway: Gateway, run: Run) -> None:
    run.history = [LogEntry(sequence=5, record=run.record("kept"))]
    await run.end()
    async with following(gateway, run.run_id) as events:
        assert await events.messages(1) == ["kept"]
        assert (await events.next())["event"] == "end"


async def test_what_the_stream_has_forgotten_of_a_job_that_goes_on_comes_from_the_history_first(
    gateway: Gateway, run: Run, servers: Endpoints
) -> None:
    await run.log("one", "two", "three")
    async with following(gateway, run.run_id) as events:
        places = [int((await events.next())["id"]) for _ in range(3)]
    told = zip(places, ("one", "two", "three"), strict=True)
    run.history = [LogEntry(sequence=place, record=run.record(message)) for place, message in told]
    access = servers.administrator
    client = await nats.connect(access.nats_url, user=access.nats_user, password=access.nats_password)
    await client.jetstream().purge_stream(LOG_RECORDED.stream, seq=places[2])
    await client.close()
    async with following(gateway, run.run_id) as events:
        await run.log("four")
        assert await events.messages(4) == ["one", "two", "three", "four"]
    async with following(gateway, run.run_id, after=str(places[0])) as events:
        assert await events.messages(3) == ["two", "three", "four"]


async def test_silence_is_filled_with_comments(start: Start, run: Run) -> None:
    async with start(heartbeat_seconds=0.1) as gateway, following(gateway, run.run_id) as events:

        async def speak_after_three() -> None:
            while len(events.comments) < 3:  # noqa: ASYNC110 - they come as lines are read
                await asyncio.sleep(0.01)
            await run.log("one")

        speaking = asyncio.create_task(speak_after_three())
        assert await events.messages(1) == ["one"]
        await speaking


async def test_where_all_that_comes_is_left_out_silence_is_filled_too(start: Start, run: Run) -> None:
    async with start(heartbeat_seconds=0.1) as gateway, following(gateway, run.run_id, query="?level=METRIC") as events:

        async def speak_after_three() -> None:
            while len(events.comments) < 3:
                await run.log("left out")
                await asyncio.sleep(0.05)
            await run.log("measured", step=1)

        speaking = asyncio.create_task(speak_after_three())
        assert await events.messages(1) == ["measured"]
        await speaking


async def test_an_unknown_run_is_refused_before_the_stream_begins(gateway: Gateway, peers: Peers) -> None:
    status, body, headers = await gateway.call("GET", "/api/v1/logs/stream/job_nowhere")
    assert (status, body["error"]) == (404, "NOT_FOUND")
    assert body["message"] == "There is no such run: a log goes by the `run_id` that its job tells"
    assert body["metadata"] == {"run_id": "job_nowhere"}
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("after", ["abc", "-1", "1.5", "9" * 30, "١"])
async def test_a_place_that_is_none_is_refused(after: str, gateway: Gateway, run: Run) -> None:
    status, body, _ = await gateway.call("GET", f"/api/v1/logs/stream/{run.run_id}", headers={"Last-Event-ID": after})
    assert (status, body["metadata"]["errors"][0]["field"]) == (400, "Last-Event-ID")


async def test_a_client_that_goes_away_is_not_followed_on(gateway: Gateway, run: Run) -> None:
    def streams() -> float:
        labels = {"method": "GET", "route": "/api/v1/logs/stream/{run_id}", "status": "4xx"}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0

    before = streams()
    async with following(gateway, run.run_id) as events:
        await run.log("one")
        await events.messages(1)
    deadline = asyncio.get_running_loop().time() + 3
    while streams() == before:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_a_gateway_that_ends_lets_go_of_its_streams_without_calling_them_ended(start: Start, run: Run) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with start(shutdown_seconds=30) as gateway:
            response = await client.get(f"{gateway.url}/api/v1/logs/stream/{run.run_id}")
            await run.log("one")
            await Events(response).messages(1)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 5
        with pytest.raises(aiohttp.ClientError):
            await Events(response).next()
