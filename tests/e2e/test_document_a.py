"""Document A on the whole, fresh platform: every exchange as it is printed there, the errors too."""

import json
from typing import Any

import pytest

from tests.e2e.caller import Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

LLM = "/api/v1/llm"
ACTIONS = json.loads("""
{
    "status": "success",
    "data": {
        "actions": [
            {
                "id": 1,
                "name": "Generate Summary",
                "description": "Generate a summary from idea seed",
                "input_field": "idea_seed",
                "output_field": "summary",
                "model": "gpt-4",
                "status": "active",
                "created_at": "2024-03-20T10:00:00Z",
                "updated_at": "2024-03-20T10:00:00Z"
            }
        ]
    }
}
""")
REQUEST = json.loads("""
{
    "input_data": {
        "idea_seed": "Initial idea for the post"
    }
}
""")
RUN = json.loads("""
{
    "status": "success",
    "data": {
        "action_run": {
            "id": 1,
            "action_id": 1,
            "input_data": {
                "idea_seed": "Initial idea for the post"
            },
            "output_data": {
                "summary": "Generated summary text"
            },
            "status": "completed",
            "diagnostics": {
                "tokens_used": 150,
                "execution_time": 2.5,
                "model": "gpt-4"
            },
            "created_at": "2024-03-20T10:00:00Z",
            "updated_at": "2024-03-20T10:00:00Z"
        }
    }
}
""")
PROMPTS = json.loads("""
{
    "status": "success",
    "data": {
        "prompts": [
            {
                "id": 1,
                "name": "Summary Generation",
                "content": "Generate a summary based on the following idea: {idea_seed}",
                "variables": ["idea_seed"],
                "created_at": "2024-03-20T10:00:00Z",
                "updated_at": "2024-03-20T10:00:00Z"
            }
        ]
    }
}
""")
MODELS = json.loads("""
{
    "status": "success",
    "data": {
        "models": [
            {
                "id": 1,
                "name": "gpt-4",
                "provider": "openai",
                "max_tokens": 8192,
                "status": "active",
                "created_at": "2024-03-20T10:00:00Z",
                "updated_at": "2024-03-20T10:00:00Z"
            }
        ]
    }
}
""")
NOT_FOUND = json.loads("""
{
    "status": "error",
    "message": "Action not found",
    "errors": [
        {
            "code": "not_found",
            "message": "Action with id 1 not found"
        }
    ]
}
""")


def only(names: Any, found: Any) -> Any:
    return {name: found[name] for name in names}


async def test_list_actions(caller: Caller) -> None:
    answer = await caller.get(f"{LLM}/actions")
    conforms(answer, ACTIONS)
    first, documented = answer["data"]["actions"][0], ACTIONS["data"]["actions"][0]
    names = ("id", "name", "description", "input_field", "output_field", "status")
    assert only(names, first) == only(names, documented), "a new platform starts with the documents' example"


async def test_execute_action_and_get_its_run(caller: Caller) -> None:
    answer = await caller.post(f"{LLM}/actions/1/execute", REQUEST)
    conforms(answer, RUN)
    run = answer["data"]["action_run"]
    assert (run["action_id"], run["input_data"], run["status"]) == (1, REQUEST["input_data"], "completed")
    assert "Generate a summary based on" in run["output_data"]["summary"], "the simulated engine quotes its prompt"
    assert run["diagnostics"]["simulated"] is True
    assert run["diagnostics"]["tokens_used"] > 0
    assert await caller.get(f"{LLM}/actions/1/runs/{run['id']}") == answer
    page = await caller.get(f"{LLM}/actions/1/runs?limit=1")
    assert page["items"] == [run]


async def test_list_prompts(caller: Caller) -> None:
    answer = await caller.get(f"{LLM}/prompts")
    # Prompts of other tests may have no variables.
    answer["data"]["prompts"] = [prompt for prompt in answer["data"]["prompts"] if prompt["variables"]]
    conforms(answer, PROMPTS)
    names = ("id", "name", "content", "variables")
    assert only(names, answer["data"]["prompts"][0]) == only(names, PROMPTS["data"]["prompts"][0])


async def test_list_models(caller: Caller) -> None:
    answer = await caller.get(f"{LLM}/models")
    conforms(answer, MODELS)
    assert {"simulated-small", "simulated-medium"} <= {model["name"] for model in answer["data"]["models"]}


async def test_action_not_found(caller: Caller) -> None:
    expected = json.loads(json.dumps(NOT_FOUND).replace("id 1 ", "id 999999 "))
    for method, path, body in (
        ("POST", "/execute", REQUEST),
        ("GET", "/runs/1", None),
        ("GET", "", None),
        ("GET", "/history", None),
    ):
        status, answer = await caller.call(method, f"{LLM}/actions/999999{path}", json=body)
        assert status == 404
        assert only(expected, answer) == expected
    status, answer = await caller.call("GET", f"{LLM}/actions/1/runs/999999")
    assert (status, answer["message"]) == (404, "Action run not found")


async def test_execution_error(caller: Caller) -> None:
    action = await caller.post(
        f"{LLM}/actions", {"field_name": "summary", "prompt_template_id": 1, "llm_model": "no-such-model"}
    )
    action_id = action["action"]["id"]
    status, answer = await caller.call("POST", f"{LLM}/actions/{action_id}/execute", json=REQUEST)
    assert status == 502
    assert (answer["status"], answer["message"]) == ("error", "Action execution failed")
    (error,) = answer["errors"]
    assert (error["code"], error["message"]) == ("execution_error", "Failed to generate summary")
    assert error["details"].startswith("Model error: No engine serves a model 'no-such-model'")
    (run,) = (await caller.get(f"{LLM}/actions/{action_id}/runs"))["items"]
    assert (run["status"], run["output_data"]) == ("failed", {})
    assert run["error"]["message"] in error["details"]
    assert answer["error"]["details"]["run_id"] == [str(run["id"])]


async def test_missing_variables_are_named(caller: Caller) -> None:
    status, answer = await caller.call("POST", f"{LLM}/actions/1/execute", json={"input_data": {"other": "x"}})
    assert (status, answer["message"]) == (400, "Missing variables: idea_seed")
    assert answer["error"]["details"] == {"input_data.idea_seed": ["field required"]}
