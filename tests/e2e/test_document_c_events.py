"""Document C's WebSocket events on the whole platform: each as printed there, in order, again for who comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from embedded.platform import Platform
from engines.server import listening
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings
from tests.e2e.caller import Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

EVENTS = {
    event["type"]: event
    for event in json.loads("""
[
  {
    "type": "execution_progress",
    "data": {
      "runId": 1,
      "payloadId": 1,
      "payloadName": "Initial Request",
      "status": "running",
      "progress": 50,
      "metadata": {
        "tokens_per_second": 30.5
      }
    }
  },
  {
    "type": "payload_completed",
    "data": {
      "runId": 1,
      "payloadId": 1,
      "payloadName": "Initial Request",
      "content": "Generated response from the payload",
      "metadata": {
        "tokens": 150,
        "promptTokens": 50,
        "completionTokens": 100,
        "duration_ms": 5000,
        "tokens_per_second": 30.5
      }
    }
  },
  {
    "type": "workflow_completed",
    "data": {
      "runId": 1,
      "status": "completed"
    }
  },
  {
    "type": "workflow_failed",
    "data": {
      "runId": 1,
      "error": "Error message describing the failure"
    }
  }
]
""")
}
"""As printed; rates are not whole numbers, though."""

PORT, NOWHERE = 5997, 5998
ENDED = {"workflow_completed", "workflow_failed"}


@pytest.fixture
async def instance(caller: Caller) -> AsyncIterator[int]:
    """A simulated instance that takes its time, as a model does."""
    settings = SimulatedSettings(name="A slow one", model="simulated-slow", latency=0.3, tokens_per_second=40)
    async with listening(build(settings), "127.0.0.1", 0) as url:
        body = {"port": PORT, "name": "A slow one", "api_base": f"{url}/v1"}
        await caller.post("/api/llm/instances", body)
        yield PORT
        await caller.call("DELETE", f"/api/llm/instances/{PORT}")


async def new_workflow(caller: Caller, *ports: int) -> int:
    """A workflow of as many payloads, the first two named as in the document."""
    block = await caller.post("/api/blocks", {"title": "Introduction", "content": "Tell me about rivers"})
    payloads = []
    for name, port in zip(("Initial Request", "Follow-up Analysis"), ports, strict=False):
        fields = {"name": name, "response_length": 30, "llm_port": port, "model_format": "mistral"}
        payloads.append((await caller.post("/api/payloads", {**fields, "blocks": [block["id"]]}))["id"])
    made = await caller.post("/api/workflows", {"name": "Analysis Workflow", "payloads": payloads})
    workflow_id: int = made["id"]
    return workflow_id


@asynccontextmanager
async def watching(platform: Platform, query: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"X-API-Key": platform.admin_key}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{platform.url}/ws{query}", headers=headers) as ws,
    ):
        yield ws


async def events_of(ws: aiohttp.ClientWebSocketResponse, run_id: int) -> list[Any]:
    """The run's, to its last. Other tests' runs may tell something, too."""
    found: list[Any] = []
    async with asyncio.timeout(30):
        while not found or found[-1]["type"] not in ENDED:
            event = await ws.receive_json()
            if event["data"]["runId"] == run_id:
                found.append(event)
    return found


async def test_a_run_is_watched_to_its_completion(caller: Caller, platform: Platform, instance: int) -> None:
    workflow_id = await new_workflow(caller, instance, instance)
    async with watching(platform) as ws:
        started = await caller.post(f"/api/execute/workflow/{workflow_id}", {})
        conforms(started, {"runId": 1, "message": "Workflow execution started", "status": "running"})
        events = await events_of(ws, started["runId"])
    for event in events:
        conforms(event, EVENTS[event["type"]])
    assert events[-1]["data"] == {"runId": started["runId"], "status": "completed"}
    run = await caller.get(f"/api/execute/run/{started['runId']}")
    completions = [event["data"] for event in events if event["type"] == "payload_completed"]
    assert [(data["payloadId"], data["payloadName"], data["content"]) for data in completions] == [
        (response["payload_id"], response["payload_name"], response["content"]) for response in run["responses"]
    ]
    for data in completions:
        assert data["metadata"]["simulated"] is True, "what no model made says so"
    places = [place for place, event in enumerate(events) if event["type"] == "payload_completed"]
    for name, first, last in (
        ("Initial Request", 0, places[0]),
        ("Follow-up Analysis", places[0] + 1, places[1]),
    ):
        progress = [event["data"] for event in events[first:last]]
        assert {data["payloadName"] for data in progress} == {name}
        percents = [data["progress"] for data in progress]
        assert percents == sorted(percents)
        assert any(0 < percent < 100 for percent in percents), "it was told while it was answered"
        assert percents[-1] == 100
    # Whoever comes back, on whichever of both ways, is given the rest and nothing else.
    seen = events[places[0]]["id"]
    async with watching(platform, f"?run_id={started['runId']}&last_event_id={seen}") as ws:
        assert await events_of(ws, started["runId"]) == events[places[0] + 1 :]
    text = await caller.get_text(f"/api/runs/{started['runId']}/events")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert [json.loads(line) for line in lines] == [*events, {"run_id": started["runId"], "status": "completed"}]


async def test_a_run_is_watched_to_its_failure(caller: Caller, platform: Platform) -> None:
    workflow_id = await new_workflow(caller, NOWHERE)
    async with watching(platform) as ws:
        started = await caller.post(f"/api/execute/workflow/{workflow_id}", {})
        *progress, event = await events_of(ws, started["runId"])
    assert {told["type"] for told in progress} <= {"execution_progress"}
    conforms(event, EVENTS["workflow_failed"])
    assert event["data"].keys() == {"runId", "error"}
    assert event["data"]["error"].startswith("Initial Request: ")
    assert (await caller.get(f"/api/runs/{started['runId']}"))["status"] == "failed"


async def test_whoever_watches_misses_nothing_when_gateway_and_orchestrator_die(
    caller: Caller, platform: Platform, instance: int
) -> None:
    workflow_id = await new_workflow(caller, instance, instance)
    run_id = (await caller.post(f"/api/execute/workflow/{workflow_id}", {}))["runId"]
    events: list[Any] = []
    doomed = ["gateway", "orchestrator"]
    ended = False
    async with asyncio.timeout(60):
        while not ended:
            with suppress(aiohttp.ClientError):
                seen = events[-1]["id"] if events else 0
                async with watching(platform, f"?run_id={run_id}&last_event_id={seen}") as ws:
                    while not ended and (message := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                        events.append(message.json())
                        ended = events[-1]["type"] in ENDED
                        while doomed:
                            platform.kill(doomed.pop())
            await asyncio.sleep(0.1)
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids))
    run = await caller.patiently("GET", f"/api/execute/run/{run_id}")
    completions = [event["data"]["content"] for event in events if event["type"] == "payload_completed"]
    assert completions == [response["content"] for response in run["responses"]]
    assert [event["type"] for event in events if event["type"] in ENDED] == ["workflow_completed"]
