"""Document D on the whole platform: a prompt answered at once, one carried out by a plan, and the server's metrics."""

import asyncio
import time
from typing import Any

import pytest

from tests.e2e.caller import Caller

pytestmark = pytest.mark.e2e

PLANNED = "1. Name three engines.\n2. Compare their speed.\n3. Write a recommendation."


async def ended(caller: Caller, task_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (task := await caller.get(f"/api/v1/tasks/{task_id}"))["status"] in ("Planned", "Processing"):
        assert time.monotonic() < deadline, task
        await asyncio.sleep(0.1)
    return dict(task)


async def test_every_exchange_of_document_d(caller: Caller) -> None:
    before = await caller.get("/api/v1/metrics")
    direct = await caller.post("/api/v1/tasks", {"prompt": "What is the capital of France?"})
    assert (direct["status"], direct["error"]) == ("Completed", None)
    assert direct["result"]
    assert direct["task_id"]

    planned = await caller.post("/api/v1/tasks", {"prompt": PLANNED, "profile": "Analyst", "role": "Planner"})
    assert (planned["status"], planned["result"], planned["error"]) == ("Planned", None, None)
    done = await ended(caller, planned["task_id"])
    assert (done["status"], done["error"]) == ("Completed", None)
    assert done["result"] == done["details"]["plan"][-1]["result"]
    assert [step["status"] for step in done["details"]["plan"]] == ["completed"] * 4

    status, refused = await caller.call("POST", "/api/v1/tasks", json={"prompt": "x", "profile": "Nobody"})
    assert (status, set(refused)) == (400, {"detail"})
    assert "General" in refused["detail"]

    deadline = time.monotonic() + 20
    while (after := await caller.get("/api/v1/metrics"))["total_requests"] < before["total_requests"] + 5:
        assert time.monotonic() < deadline, after
        await asyncio.sleep(0.2)
    assert after["server_status"] == "online"
    assert "available" in after["llm_status"].values()
    assert after["tokens_per_second"] > 0
    assert after["average_response_time"] > 0
    assert 0 < after["success_rate"] <= 100
    assert set(after) == {
        "server_status",
        "llm_status",
        "tokens_per_second",
        "average_response_time",
        "total_requests",
        "active_tasks",
        "queue_length",
        "success_rate",
        "api_costs",
    }
