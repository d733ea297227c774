"""Jobs watched and steered over a WebSocket, by several people at once."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientWebSocketResponse

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    ADJUST_JOB,
    CANCEL_JOB,
    LOG_RECORDED,
    PAUSE_JOB,
    AdjustmentAccepted,
    JobCancelled,
    LogRecord,
    Steering,
)
from tests.gateway.conftest import ADMIN_KEY, Gateway
from tests.gateway.peers import MOMENT, Peers, job
from tests.gateway.test_logs import Run
from tests.gateway.test_watching import closed, heard, member

Json = dict[str, Any]


@pytest.fixture
def run(peers: Peers) -> Run:
    return Run(peers, f"watched-{uuid.uuid4().hex[:8]}")


@asynccontextmanager
async def socket(
    gateway: Gateway, run: Run, query: str = "", *, key: str = ADMIN_KEY
) -> AsyncIterator[ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {key}"}
    async with gateway.client.ws_connect(f"{gateway.url}/ws/jobs/job_{run.run_id}{query}", headers=headers) as opened:
        yield opened


async def steered(run: Run, by: str) -> None:
    """Somebody paused the job, as the orchestrator tells it."""
    record = LogRecord(
        run_id=run.run_id,
        timestamp=MOMENT,
        agent="Orchestrator",
        level="INFO",
        message=f"{by} paused the job",
        steering=Steering(number=1, action="pause", by=by),
    )
    bus = run.peers.buses["orchestrator"]
    await bus.publish(LOG_RECORDED, record, message_id=f"{run.run_id}-{by}", key=run.run_id)


async def ask(opened: ClientWebSocketResponse, **command: Any) -> Json:
    """The answer to a command; nothing else is told meanwhile."""
    await opened.send_str(orjson.dumps(command).decode())
    (answer,) = await heard(opened, 1)
    return answer


async def test_records_come_with_ids_and_progress_and_an_end(gateway: Gateway, run: Run) -> None:
    async with socket(gateway, run) as opened:
        (progress,) = await heard(opened, 1)
        assert (progress["type"], progress["data"]["status"]) == ("progress", "running")
        await run.log("Starting dataset ingestion")
        await run.log("step 100", step=100, loss=1.85)
        log, metric = await heard(opened, 2)
        assert (log["type"], log["data"]["message"]) == ("log", "Starting dataset ingestion")
        assert (metric["type"], metric["data"]["step"], metric["data"]["loss"]) == ("metric", 100, 1.85)
        assert metric["id"] > log["id"]
        await run.end()
        (end,) = await heard(opened, 1)
        assert (end["type"], end["data"]) == ("end", {"run_id": run.run_id, "status": "completed"})
        assert (await closed(opened))[0] == 1000


async def test_who_comes_back_misses_nothing_and_sees_nothing_twice(gateway: Gateway, run: Run) -> None:
    await run.log("one", "two")
    async with socket(gateway, run) as opened:
        _, one, _two = await heard(opened, 3)
    await run.log("three")
    async with socket(gateway, run, f"?last_event_id={one['id']}") as opened:
        _, *others = await heard(opened, 3)
    assert [message["data"]["message"] for message in others] == ["two", "three"]


async def test_all_who_watch_see_who_did_what(gateway: Gateway, run: Run) -> None:
    async with socket(gateway, run) as first, socket(gateway, run) as second:
        for opened in (first, second):
            await heard(opened, 1)
        run.status = "paused"
        await steered(run, "Ada")
        for opened in (first, second):
            steering, progress = await heard(opened, 2)
            assert (steering["type"], steering["data"]["steering"]["by"]) == ("steering", "Ada")
            assert (progress["type"], progress["data"]["status"]) == ("progress", "paused")


async def test_while_an_agent_measures_it_is_told_how_far_the_job_is(
    gateway: Gateway, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with socket(gateway, run) as opened:
        await heard(opened, 1)
        await run.log("step 1", step=1)
        assert [message["type"] for message in await heard(opened, 1)] == ["metric"]
        monkeypatch.setattr("gateway.handlers.watching_jobs._PROGRESS_SECONDS", 0.0)
        await run.log("not measured")
        await run.log("step 2", step=2)
        assert [message["type"] for message in await heard(opened, 3)] == ["log", "metric", "progress"]


async def test_commands_are_done_in_the_callers_name_and_acknowledged(gateway: Gateway, run: Run, peers: Peers) -> None:
    peers.answer(PAUSE_JOB, job(run.run_id, "paused"))
    peers.answer(CANCEL_JOB, JobCancelled(job_id=f"job_{run.run_id}", status="cancelled"))
    peers.answer(ADJUST_JOB, AdjustmentAccepted(job_id=f"job_{run.run_id}", number=3))
    key, key_id = await member(gateway)
    async with socket(gateway, run, key=key) as opened:
        await heard(opened, 1)
        assert await ask(opened, request_id="a", action="pause") == {
            "type": "ack",
            "request_id": "a",
            "action": "pause",
            "ok": True,
            "data": {"job_id": f"job_{run.run_id}", "status": "paused"},
        }
        principal = peers.call(PAUSE_JOB).principal
        assert principal is not None
        assert principal.id == key_id
        adjusted = await ask(opened, request_id="b", action="adjust", learning_rate=1e-5, agent_name="training")
        assert adjusted["data"]["number"] == 3
        assert peers.asked(ADJUST_JOB).learning_rate == 1e-5
        assert (await ask(opened, action="cancel"))["data"]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("command", "named", "field"),
    [
        ("not json", (None, None), "body"),
        ("[]", (None, None), "body"),
        ('{"request_id": 7}', (None, None), "action"),
        ('{"request_id": "a", "action": "explode"}', ("a", "explode"), "action"),
        ('{"request_id": "b", "action": "adjust"}', ("b", "adjust"), "learning_rate"),
        ('{"request_id": "c", "action": "adjust", "learning_rate": 2}', ("c", "adjust"), "learning_rate"),
        ('{"request_id": "d", "action": "pause", "job_id": "job_other"}', ("d", "pause"), "job_id"),
        ('{"request_id": "e", "action": "pause"}', ("e", "pause"), None),
    ],
)
async def test_what_cannot_be_done_is_refused_in_document_es_form_and_the_socket_stays(
    gateway: Gateway, run: Run, peers: Peers, command: str, named: tuple[str | None, str | None], field: str | None
) -> None:
    peers.answer(PAUSE_JOB, Refused(RefusalCode.FORBIDDEN, "Only who submitted the job and administrators may do this"))
    async with socket(gateway, run) as opened:
        await heard(opened, 1)
        await opened.send_str(command)
        (answer,) = await heard(opened, 1)
        assert (answer["type"], answer["ok"], answer["request_id"], answer["action"]) == ("ack", False, *named)
        if field is None:
            assert (answer["error"], answer["metadata"]) == ("FORBIDDEN", {})
        else:
            assert answer["error"] == "VALIDATION_ERROR"
            assert [error["field"] for error in answer["metadata"]["errors"]] == [field]
        await run.log("still here")
        assert (await heard(opened, 1))[0]["type"] == "log"


async def test_a_viewer_watches_and_does_not_steer(gateway: Gateway, run: Run, peers: Peers) -> None:
    made = await gateway.post("/api/v1/keys", {"name": "Looker", "role": "viewer"}, status=201)
    async with socket(gateway, run, key=made["key"]) as opened:
        await heard(opened, 1)
        assert (await ask(opened, action="pause"))["error"] == "FORBIDDEN"
    assert PAUSE_JOB.subject not in [subject for subject, _, _ in peers.heard]


async def test_a_command_counts_for_the_key_s_own_limit_and_needs_a_key_that_holds(
    gateway: Gateway, run: Run, peers: Peers
) -> None:
    peers.answer(PAUSE_JOB, job(run.run_id, "paused"))
    made = await gateway.post("/api/v1/keys", {"name": "Few", "role": "member", "requests_per_minute": 2}, status=201)
    async with socket(gateway, run, key=made["key"]) as opened:
        await heard(opened, 1)
        assert (await ask(opened, action="pause"))["ok"]
        limited = await ask(opened, request_id="a", action="pause")
        assert (limited["error"], limited["request_id"], limited["metadata"]["limit"]) == ("RATE_LIMITED", "a", 2)
        await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}")
        assert (await ask(opened, action="pause"))["error"] == "UNAUTHORIZED"


async def test_a_ticket_opens_it_and_an_unknown_job_does_not(gateway: Gateway, run: Run) -> None:
    ticket = (await gateway.post("/api/v1/tickets", {}, status=201))["ticket"]
    url = f"{gateway.url}/ws/jobs/job_{run.run_id}?ticket={ticket}"
    async with gateway.client.ws_connect(url) as opened:
        assert (await heard(opened, 1))[0]["type"] == "progress"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with gateway.client.ws_connect(url.replace(run.run_id, "nobody")):
            pass
    assert refusal.value.status == 401
    status, body, _ = await gateway.call("GET", "/ws/jobs/job_nobody")
    assert (status, body["error"]) == (404, "NOT_FOUND")
