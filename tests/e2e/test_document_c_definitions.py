"""Document C's blocks, payloads, workflows and LLM instances on the whole platform: every exchange as printed there."""

import json
from typing import Any

import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

NEW_BLOCK = json.loads("""
{
  "title": "Introduction",
  "content": "This is an introduction block",
  "tags": "intro,greeting",
  "folder_path": "Common"
}
""")
BLOCK = json.loads("""
{
  "id": 1,
  "title": "Introduction",
  "content": "This is an introduction block",
  "tags": "intro,greeting",
  "folder_path": "Common",
  "created_at": "2023-07-01T12:00:00Z",
  "updated_at": "2023-07-01T12:00:00Z"
}
""")
CHANGED_BLOCK = json.loads("""
{
  "title": "Updated Introduction",
  "content": "This is an updated introduction block",
  "tags": "intro,greeting,updated",
  "folder_path": "Common"
}
""")
NEW_PAYLOAD = json.loads("""
{
  "name": "Initial Request",
  "temperature": 0.7,
  "response_length": 1000,
  "llm_port": 5001,
  "model_format": "mistral",
  "blocks": [1, 2, 3]
}
""")
PAYLOAD = json.loads("""
{
  "id": 1,
  "name": "Initial Request",
  "temperature": 0.7,
  "response_length": 1000,
  "llm_port": 5001,
  "model_format": "mistral",
  "created_at": "2023-07-01T12:00:00Z",
  "updated_at": "2023-07-01T12:00:00Z"
}
""")
BLOCK_OF_PAYLOAD = json.loads("""
{
  "id": 1,
  "title": "Introduction",
  "content": "This is an introduction block",
  "order_index": 0
}
""")
CHANGED_PAYLOAD = json.loads("""
{
  "name": "Updated Request",
  "temperature": 0.6,
  "response_length": 2000,
  "llm_port": 5002,
  "model_format": "llama",
  "blocks": [1, 4, 5]
}
""")
WORKFLOW = json.loads("""
{
  "id": 1,
  "name": "Analysis Workflow",
  "created_at": "2023-07-01T12:00:00Z",
  "updated_at": "2023-07-01T12:00:00Z"
}
""")
PAYLOADS_OF_WORKFLOW = json.loads("""
[
  {
    "id": 1,
    "name": "Initial Request",
    "order_index": 0
  },
  {
    "id": 2,
    "name": "Follow-up Analysis",
    "order_index": 1
  }
]
""")
INSTANCES = json.loads("""
[
  {
    "port": 5001,
    "name": "Simulated LLM 1 (small)",
    "status": "available",
    "lastUsed": "2023-07-01T12:00:00Z",
    "config": {
      "temperature": 0.7,
      "max_length": 1000
    }
  },
  {
    "port": 5002,
    "name": "Simulated LLM 2 (medium)",
    "status": "available",
    "lastUsed": "2023-07-01T12:00:00Z",
    "config": {
      "temperature": 0.5,
      "max_length": 2000
    }
  }
]
""")
TEST = json.loads("""
{
  "connected": true,
  "modelInfo": {
    "model": "Mistral-7B",
    "version": "1.0"
  },
  "timestamp": "2023-07-01T12:00:00Z"
}
""")
INFO = json.loads("""
{
  "port": 5001,
  "timestamp": "2023-07-01T12:00:00Z",
  "connected": true,
  "koboldApiAvailable": true,
  "openAiApiAvailable": true,
  "modelInfo": {
    "model": "Mistral-7B",
    "version": "1.0"
  },
  "apiDetails": {
    "kobold": {
      "model": "Mistral-7B",
      "version": "1.0"
    },
    "openai": {
      "data": [
        {
          "id": "local-model",
          "object": "model",
          "created": 1677610602,
          "owned_by": "user"
        }
      ]
    }
  },
  "endpointInfo": {
    "info": {
      "version": "1.0.0",
      "api_format": ["kobold", "openai"]
    }
  }
}
""")


def same(answer: Any, printed: dict[str, Any], **own: Any) -> None:
    """Holds the answer to what is printed, field by field and no more, but for moments and what is its own."""
    conforms(answer, printed)
    moments = {name: answer[name] for name in ("created_at", "updated_at")}
    assert answer == {**printed, **moments, **own}


async def changed(caller: Caller, path: str, body: Any) -> Any:
    status, answer = await caller.call("PUT", path, json=body)
    assert status == 200, answer
    return answer


async def deleted(caller: Caller, path: str) -> Any:
    status, answer = await caller.call("DELETE", path)
    assert status == 200, answer
    return answer


async def new_blocks(caller: Caller, count: int) -> list[int]:
    return [(await caller.post("/api/blocks", NEW_BLOCK))["id"] for _ in range(count)]


@pytest.fixture
async def ports(caller: Caller) -> dict[str, int]:
    """The ports of the instances, by name: those of tests are free ones."""
    return {instance["name"]: instance["port"] for instance in await caller.get("/api/llm/instances")}


async def test_blocks(caller: Caller) -> None:
    block = await caller.post("/api/blocks", NEW_BLOCK)
    path = f"/api/blocks/{block['id']}"
    same(block, BLOCK, id=block["id"])
    assert block["created_at"] == block["updated_at"]
    assert await caller.get(path) == block
    assert block in await caller.get("/api/blocks")
    update = await changed(caller, path, CHANGED_BLOCK)
    same(update, BLOCK, **CHANGED_BLOCK, id=block["id"])
    assert update["updated_at"] > update["created_at"] == block["created_at"]
    assert update in await caller.get("/api/blocks?folder=Common&tag=updated&search=introduction")
    assert await deleted(caller, path) == {"message": "Block deleted successfully"}
    assert await caller.call("GET", path) == (404, {"error": "Block not found"})


async def test_payloads(caller: Caller) -> None:
    blocks = await new_blocks(caller, 5)
    payload = await caller.post("/api/payloads", {**NEW_PAYLOAD, "blocks": blocks[:3]})
    path = f"/api/payloads/{payload['id']}"
    same(payload, PAYLOAD, id=payload["id"])
    parts = [{**BLOCK_OF_PAYLOAD, "id": number, "order_index": place} for place, number in enumerate(blocks[:3])]
    assert await caller.get(path) == {**payload, "blocks": parts}
    assert {**payload, "blocks": parts} in await caller.get("/api/payloads")
    order = [blocks[0], blocks[3], blocks[4]]
    update = await changed(caller, path, {**CHANGED_PAYLOAD, "blocks": order})
    fields = {name: value for name, value in CHANGED_PAYLOAD.items() if name != "blocks"}
    same(update, PAYLOAD, **fields, id=payload["id"])
    assert [block["id"] for block in (await caller.get(path))["blocks"]] == order
    status, refusal = await caller.call("DELETE", f"/api/blocks/{blocks[0]}")
    assert (status, list(refusal)) == (409, ["error"])
    assert f"Updated Request ({payload['id']})" in refusal["error"]
    await deleted(caller, f"/api/blocks/{blocks[0]}?force=true")
    assert [block["order_index"] for block in (await caller.get(path))["blocks"]] == [0, 1]
    assert await deleted(caller, path) == {"message": "Payload deleted successfully"}
    assert await caller.call("GET", path) == (404, {"error": "Payload not found"})
    status, refusal = await caller.call("POST", "/api/payloads", json={**NEW_PAYLOAD, "blocks": [999_999]})
    assert (status, refusal) == (400, {"error": "Unknown blocks: 999999"})


async def test_workflows(caller: Caller) -> None:
    first = (await caller.post("/api/payloads", {**NEW_PAYLOAD, "blocks": []}))["id"]
    follow_up = {**NEW_PAYLOAD, "name": "Follow-up Analysis", "blocks": []}
    second, third = [(await caller.post("/api/payloads", follow_up))["id"] for _ in range(2)]
    workflow = await caller.post("/api/workflows", {"name": "Analysis Workflow", "payloads": [first, second]})
    path = f"/api/workflows/{workflow['id']}"
    same(workflow, WORKFLOW, id=workflow["id"])
    parts = [{**part, "id": number} for part, number in zip(PAYLOADS_OF_WORKFLOW, (first, second), strict=True)]
    assert await caller.get(path) == {**workflow, "payloads": parts}
    assert {**workflow, "payloads": parts} in await caller.get("/api/workflows")
    order = [first, third, second]
    update = await changed(caller, path, {"name": "Updated Analysis Workflow", "payloads": order})
    same(update, WORKFLOW, id=workflow["id"], name="Updated Analysis Workflow")
    assert [payload["id"] for payload in (await caller.get(path))["payloads"]] == order
    assert (await caller.get(f"{path}/versions"))["total"] == 2
    copy = await caller.post("/api/workflows/import", await caller.get(f"{path}/export"))
    assert copy["id"] != workflow["id"]
    names = [payload["name"] for payload in (await caller.get(f"/api/workflows/{copy['id']}"))["payloads"]]
    assert names == ["Initial Request", "Follow-up Analysis", "Follow-up Analysis"]
    assert await deleted(caller, path) == {"message": "Workflow deleted successfully"}
    assert await caller.call("GET", path) == (404, {"error": "Workflow not found"})


async def test_instances(caller: Caller, platform: Platform, ports: dict[str, int]) -> None:
    for printed in INSTANCES:
        port = ports[printed["name"]]
        # An instance that nobody has asked yet was never used.
        await caller.post(
            "/v1/chat/completions",
            {"model": f"port:{port}", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5},
        )
        (instance,) = [found for found in await caller.get("/api/llm/instances") if found["port"] == port]
        conforms(instance, printed)
        assert instance == {**printed, "port": port, "lastUsed": instance["lastUsed"]}
    assert [ports[printed["name"]] for printed in INSTANCES] == [
        platform.ports()[name] for name in ("simulated_small", "simulated_medium")
    ]


async def test_the_simulated_instances_speak_both_apis(caller: Caller, ports: dict[str, int]) -> None:
    for printed in INSTANCES:
        port = ports[printed["name"]]
        test = await caller.get(f"/api/llm/test/{port}")
        conforms(test, TEST)
        assert test.keys() == TEST.keys()
        info = await caller.get(f"/api/llm/info/{port}")
        conforms(info, INFO)
        assert info.keys() == INFO.keys()
        assert (info["port"], info["koboldApiAvailable"], info["openAiApiAvailable"]) == (port, True, True)
        assert info["modelInfo"] == test["modelInfo"]
        assert info["endpointInfo"]["info"]["api_format"] == ["kobold", "openai"]


async def test_an_instance_is_registered_changed_and_removed(caller: Caller, ports: dict[str, int]) -> None:
    base = f"http://127.0.0.1:{ports['Simulated LLM 1 (small)']}/v1"
    body = {"port": 5999, "name": "Another", "api_base": base, "config": {"temperature": 0.2, "max_length": 3}}
    made = await caller.post("/api/llm/instances", body)
    assert (made["status"], made["lastUsed"], made["config"]) == ("available", None, body["config"])
    question = {"model": "port:5999", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await caller.post("/v1/chat/completions", question))["usage"]["completion_tokens"] == 3
    renamed = await changed(caller, "/api/llm/instances/5999", {"name": "Renamed"})
    assert (renamed["name"], renamed["config"]) == ("Renamed", body["config"])
    assert await deleted(caller, "/api/llm/instances/5999") == {"message": "LLM instance deleted successfully"}
    gone = (404, {"error": "No LLM instance is registered on port 5999"})
    assert await caller.call("GET", "/api/llm/test/5999") == gone
    assert await caller.call("GET", "/api/llm/info/5999") == gone
