"""On the whole platform a signed webhook starts a run that completes, once for each delivery."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from engines.server import listening
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings
from tests.e2e.caller import Caller
from tests.e2e.test_document_c_runs import run_when

pytestmark = pytest.mark.e2e


PORT = 5995


@pytest.fixture
async def instance(caller: Caller) -> AsyncIterator[int]:
    async with listening(build(SimulatedSettings(name="One", model="simulated-one")), "127.0.0.1", 0) as url:
        await caller.post("/api/llm/instances", {"port": PORT, "name": "One", "api_base": f"{url}/v1"})
        yield PORT
        await caller.call("DELETE", f"/api/llm/instances/{PORT}")


async def new_workflow(caller: Caller, port: int) -> int:
    """A workflow that needs a topic."""
    block = await caller.post("/api/blocks", {"title": "t", "content": "Write about {topic}"})
    payload = {"name": "Essay", "llm_port": port, "response_length": 20, "blocks": [block["id"]]}
    made = await caller.post("/api/payloads", payload)
    body = {"name": "Essays", "payloads": [made["id"]], "inputs": {"topic": None}}
    workflow_id: int = (await caller.post("/api/workflows", body))["id"]
    return workflow_id


async def test_a_webhook_starts_a_run_that_completes(caller: Caller, instance: int) -> None:
    path = f"/api/workflows/{await new_workflow(caller, instance)}"
    hook = await caller.post(f"{path}/webhooks", {"name": "from afar", "signed": True})
    text = json.dumps({"topic": "rivers", "sender": "someone"}).encode()
    signature = hmac.new(hook["signing_secret"].encode(), text, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": "d-1"}
    async with aiohttp.ClientSession() as stranger:
        told = []
        for _ in range(2):
            async with stranger.post(caller.url + hook["url"], data=text, headers=headers) as response:
                told.append((response.status, (await response.json())["runId"]))
        async with stranger.post(caller.url + hook["url"], data=text) as response:
            assert response.status == 401
    assert told[0] == told[1]
    run_id = told[0][1]
    run = await run_when(caller, run_id)
    assert (run["status"], run["error"]) == ("completed", None)
    assert run["responses"][0]["prompt"] == "Write about rivers"
    (listed,) = (await caller.get(f"{path}/webhooks"))["items"]
    assert (listed["last_run"], "url" in listed) == (run_id, False)


async def test_a_schedule_is_kept_with_when_it_is_due(caller: Caller, instance: int) -> None:
    path = f"/api/workflows/{await new_workflow(caller, instance)}/schedules"
    body = {"cron": "0 9 1 1 *", "time_zone": "Asia/Tokyo", "inputs": {"topic": "lakes"}}
    made = await caller.post(path, body)
    assert made["next_at"].endswith("-01-01T00:00:00.000000Z")
    status, told = await caller.call("PUT", f"{path}/{made['id']}", json={"cron": "61 * * * *"})
    assert (status, told) == (400, {"error": "Input validation failed: cron: Bad minute"})
    status, told = await caller.call("DELETE", f"{path}/{made['id']}")
    assert (status, told) == (200, {"message": "Schedule deleted successfully"})
