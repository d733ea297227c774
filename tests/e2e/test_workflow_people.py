"""Workflows beyond document C, over HTTP: lists, approvals, previews, older versions, and whose runs are whose."""

import uuid
from typing import Any

import pytest

from embedded.platform import Platform
from tests.e2e.caller import ENDED, Caller
from tests.e2e.test_document_c_runs import new_workflow, run_when

pytestmark = pytest.mark.e2e


async def simulated(caller: Caller) -> int:
    instances: Any = await caller.get("/api/llm/instances")
    port: int = next(one["port"] for one in instances if one["name"].startswith("Simulated"))
    return port


async def test_a_list_is_done_item_by_item_once_a_person_has_approved_it(caller: Caller) -> None:
    options = {"for_each": "places", "approval": True, "model_format": "raw"}
    made = await new_workflow(caller, await simulated(caller), "What is {item} famous for?", **options)
    started = await caller.post(f"/api/execute/workflow/{made}", {"inputs": {"places": ["Skye", "Mull"]}})
    path, told = f"/api/runs/{started['runId']}", []
    async for _, event, data in caller.events(f"{path}/events"):
        told.append(event if event == "end" else data.split('"type":"')[1].split('"')[0])
        if told[-1] == "approval_requested":
            await caller.post(f"{path}/approve", {})
    assert told[:2] == ["approval_requested", "approval_decided"]
    assert [one for one in told if one.startswith("item_c")] == ["item_completed"] * 2
    assert told[-3:] == ["payload_completed", "workflow_completed", "end"]
    page = await caller.get(f"{path}/items?payload=P0&limit=1")
    (item,) = page["items"]
    assert (page["total"], item["text"], item["prompt"]) == (2, "Skye", "What is Skye famous for?")
    (counts,) = (await caller.get(path))["items"]
    assert (counts["total"], counts["completed"], counts["failed"]) == (2, 2, 0)


async def test_a_prompt_is_previewed_and_an_older_version_restored(caller: Caller) -> None:
    port = await simulated(caller)
    block = await caller.post("/api/blocks", {"title": "Question", "content": "About {topic}"})
    fields = {"name": "P", "llm_port": port, "blocks": [block["id"]], "model_format": "mistral"}
    payload = await caller.post("/api/payloads", fields)
    shown = await caller.post(f"/api/payloads/{payload['id']}/preview", {})
    assert (shown["text"], shown["missing"]) == ("[INST] About {topic} [/INST]", ["topic"])
    await caller.call("PUT", f"/api/blocks/{block['id']}", json={"content": "Other"})
    restored = await caller.post(f"/api/blocks/{block['id']}/versions/1/restore", {})
    assert restored["content"] == "About {topic}"
    status, body = await caller.call("POST", f"/api/blocks/{block['id']}/versions/9/restore")
    assert (status, list(body)) == (404, ["error"])


async def test_a_run_is_shown_to_its_owner_and_to_admins_alone(caller: Caller, platform: Platform) -> None:
    made = await new_workflow(caller, await simulated(caller), "Say it")
    keys = [
        (await caller.post("/api/v1/keys", {"name": f"{name} {uuid.uuid4().hex[:6]}", "role": "member"}))["key"]
        for name in ("Ada", "Bob")
    ]
    ada, bob = (Caller(platform.url, key) for key in keys)
    async with ada, bob:
        run_id = (await ada.post(f"/api/execute/workflow/{made}", {}))["runId"]
        run = await run_when(caller, run_id)
        assert run["status"] in ENDED
        listed: list[Any] = [await one.get("/api/runs") for one in (ada, bob)]
        assert [[one["id"] for one in found] for found in listed] == [[run_id], []]
        for method, what in (("GET", ""), ("GET", "/responses"), ("GET", "/items"), ("GET", "/events"), ("DELETE", "")):
            status, body = await bob.call(method, f"/api/runs/{run_id}{what}")
            assert (status, body) == (404, {"error": "Run not found"}), what
        assert (await bob.call("GET", f"/api/execute/run/{run_id}"))[0] == 404
        assert (await ada.call("DELETE", f"/api/runs/{run_id}"))[0] == 200
