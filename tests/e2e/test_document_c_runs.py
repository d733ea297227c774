"""Document C's execution and runs on the whole platform, as printed there; and a run that outlives its orchestrator."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from embedded.platform import Platform
from engines.server import listening
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings
from tests.e2e.caller import ENDED, Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

RUN = json.loads("""
{
  "id": 1,
  "workflow_id": 1,
  "status": "completed",
  "started_at": "2023-07-01T12:00:00Z",
  "completed_at": "2023-07-01T12:05:00Z",
  "metadata": {
    "workflow_name": "Analysis Workflow",
    "total_payloads": 2,
    "started_at": "2023-07-01T12:00:00Z",
    "completed_at": "2023-07-01T12:05:00Z"
  }
}
""")
RESPONSES = json.loads("""
[
  {
    "id": 1,
    "run_id": 1,
    "payload_id": 1,
    "content": "Generated response from the first payload",
    "metadata": {
      "tokens": 150,
      "promptTokens": 50,
      "completionTokens": 100,
      "duration_ms": 5000,
      "tokens_per_second": 30.5
    },
    "created_at": "2023-07-01T12:02:00Z"
  }
]
""")
PORT = 5996


@pytest.fixture
async def instance(caller: Caller) -> AsyncIterator[int]:
    """A simulated instance that takes its time, as a model does."""
    settings = SimulatedSettings(name="A slow one", model="simulated-slow", latency=0.3, tokens_per_second=60)
    async with listening(build(settings), "127.0.0.1", 0) as url:
        await caller.post("/api/llm/instances", {"port": PORT, "name": "A slow one", "api_base": f"{url}/v1"})
        yield PORT
        await caller.call("DELETE", f"/api/llm/instances/{PORT}")


async def new_workflow(caller: Caller, port: int, *prompts: str, **options: Any) -> int:
    """A workflow of one payload for each prompt. `options` are of all payloads."""
    payloads = []
    for number, prompt in enumerate(prompts):
        block = await caller.post("/api/blocks", {"title": "Introduction", "content": prompt})
        fields = {"name": f"P{number}", "response_length": 30, "llm_port": port, **options, "blocks": [block["id"]]}
        payloads.append((await caller.post("/api/payloads", fields))["id"])
    made = await caller.post("/api/workflows", {"name": "Analysis Workflow", "payloads": payloads})
    workflow_id: int = made["id"]
    return workflow_id


async def run_when(caller: Caller, run_id: int, *, completed: int | None = None) -> dict[str, Any]:
    """The run as soon as it has ended, or has so many responses."""
    async with asyncio.timeout(60):
        while True:
            run: dict[str, Any] = await caller.patiently("GET", f"/api/execute/run/{run_id}")
            if run["status"] in ENDED or run["metadata"]["completed_payloads"] == completed:
                return run
            await asyncio.sleep(0.1)


async def test_a_workflow_is_executed_and_its_run_shown_listed_and_deleted(caller: Caller, instance: int) -> None:
    workflow_id = await new_workflow(caller, instance, "Name a {thing}", "Why {P0}?", model_format="mistral")
    started = await caller.post(f"/api/execute/workflow/{workflow_id}", {"inputs": {"thing": "river"}})
    conforms(started, {"runId": 1, "message": "Workflow execution started", "status": "running"})
    run = await run_when(caller, started["runId"])
    conforms(run, {**RUN, "responses": RESPONSES})
    first, second = run["responses"]
    assert (first["prompt"], second["prompt"]) == ("Name a river", f"Why {first['content']}?")
    for metadata in (first["metadata"], second["metadata"]):
        assert metadata["tokens"] == metadata["promptTokens"] + metadata["completionTokens"]
        assert (metadata["simulated"], metadata["port"]) == (True, PORT)

    path = f"/api/runs/{started['runId']}"
    conforms(await caller.get(path), RUN)
    conforms(await caller.get(f"{path}/responses"), RESPONSES)
    listed = await caller.get("/api/runs?limit=1&status=completed")
    conforms(listed, [RUN])
    assert [one["id"] for one in listed] == [run["id"]]

    again = await caller.post(f"{path}/rerun", {"from_payload": "P1"})
    repeated = await run_when(caller, again["runId"])
    assert [one["metadata"]["kept"] for one in repeated["responses"]] == [True, False]
    compared = await caller.get(f"{path}/compare/{again['runId']}")
    assert "P0" in [one["payload_name"] for one in compared["payloads"] if one["same"]]

    assert await caller.call("DELETE", path) == (200, {"message": "Run and associated responses deleted successfully"})
    assert await caller.call("GET", path) == (404, {"error": "Run not found"})


async def test_a_cancelled_run_stays_cancelled(caller: Caller, instance: int) -> None:
    workflow_id = await new_workflow(caller, instance, "One", "Two", response_length=400)
    run_id = (await caller.post(f"/api/execute/workflow/{workflow_id}", {}))["runId"]
    cancelled = await caller.post(f"/api/runs/{run_id}/cancel", {})
    assert cancelled["status"] == "cancelled"
    run = await run_when(caller, run_id)
    assert (run["status"], run["responses"]) == ("cancelled", [])
    status, body = await caller.call("POST", f"/api/runs/{run_id}/pause")
    assert (status, body) == (409, {"error": "The run was cancelled already"})


async def test_a_run_outlives_its_orchestrator(caller: Caller, platform: Platform, instance: int) -> None:
    workflow_id = await new_workflow(caller, instance, "One", "Two", "Three")
    run_id = (await caller.post(f"/api/execute/workflow/{workflow_id}", {}))["runId"]
    await run_when(caller, run_id, completed=1)
    os.kill(platform.pid("orchestrator"), signal.SIGKILL)
    run = await run_when(caller, run_id)
    assert (run["status"], run["error"]) == ("completed", None)
    assert [one["payload_name"] for one in run["responses"]] == ["P0", "P1", "P2"]
