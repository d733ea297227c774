"""Document D over HTTP: tasks, profiles and roles, metrics, and errors as `{"detail"}`."""

from typing import Any

import pytest

from contracts import engines, metrics, tasks
from contracts.base import RefusalCode, Refused
from contracts.engines import Engine, EnginePage
from contracts.metrics import RouterMetrics
from contracts.tasks import Persona, PersonaPage, Task, TaskAnalysis, TaskCounts, TaskDetails, TaskPage, TaskSummary
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, Peers

DOCUMENTED = {"task_id", "status", "result", "error"}


def task(status: str = "Completed", **changes: Any) -> Task:
    details = TaskDetails(
        profile="General",
        role="Chat-Agent",
        analysis=TaskAnalysis(decision="direct", score=0, threshold=3, signals=[]),
        plan=[],
        created_at=MOMENT,
        started_at=MOMENT,
        finished_at=None,
    )
    fields: dict[str, Any] = {"task_id": "task_1", "status": status, "result": "Paris", "error": None}
    return Task(**(fields | changes), details=details)


def engine(number: int, status: str) -> Engine:
    return Engine.model_validate(
        {
            "id": number,
            "name": f"e{number}",
            "provider_type": "local",
            "api_base": "http://127.0.0.1:1",
            "port": None,
            "status": status,
            "models": [],
            "outstanding": 0,
            "last_used": None,
            "has_token": False,
            "source": "environment",
            "enabled": status != "disabled",
            "concurrency": 1,
            "timeout": None,
            "priority": 0,
            "weight": 1.0,
            "prices": {},
        }
    )


def serve_engines(peers: Peers, *states: str) -> None:
    known = [engine(number, state) for number, state in enumerate(states)]
    peers.answer(engines.LIST_ENGINES, EnginePage(items=known, total=len(known), limit=1000, offset=0, has_more=False))


async def test_a_task_is_created_with_the_documented_defaults(gateway: Gateway, peers: Peers) -> None:
    peers.answer(tasks.CREATE_TASK, task())
    body = await gateway.post("/api/v1/tasks", {"prompt": "What is the capital of France?"})
    assert {name: body[name] for name in DOCUMENTED} == {
        "task_id": "task_1",
        "status": "Completed",
        "result": "Paris",
        "error": None,
    }
    assert set(body) == DOCUMENTED | {"details"}
    asked = peers.asked(tasks.CREATE_TASK)
    assert (asked.profile, asked.role) == ("General", "Chat-Agent")


async def test_a_task_is_told_by_what_key_it_is_known(gateway: Gateway, peers: Peers) -> None:
    peers.answer(tasks.CREATE_TASK, task())
    body = {"prompt": "What is the capital of France?"}
    for headers, key in (({"Idempotency-Key": "task 7"}, "task 7"), ({}, None)):
        await gateway.call("POST", "/api/v1/tasks", json=body, headers=headers)
        assert peers.call(tasks.CREATE_TASK).idempotency_key == key
    status, answer, _ = await gateway.call("POST", "/api/v1/tasks", json=body, headers={"Idempotency-Key": "k" * 256})
    assert (status, set(answer)) == (400, {"detail"})


async def test_a_failed_task_is_an_answer_not_an_error(gateway: Gateway, peers: Peers) -> None:
    peers.answer(tasks.CREATE_TASK, task("Failed", result=None, error="No engine is up"))
    body = await gateway.post("/api/v1/tasks", {"prompt": "x", "profile": "Coder", "role": "Planner"})
    assert (body["status"], body["result"], body["error"]) == ("Failed", None, "No engine is up")
    assert peers.asked(tasks.CREATE_TASK).role == "Planner"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t"}, "prompt"),
        ({"prompt": 1}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"prompt": "x" * 200_001}, "prompt"),
        ({"prompt": "x", "profile": 5}, "profile"),
        ({"prompt": "x", "role": "x" * 65}, "role"),
        ({"prompt": "x", "model": "m"}, "model"),
        ([], "object"),
    ],
    ids=str,
)
async def test_bad_input_gets_a_detail_that_names_it(gateway: Gateway, body: Any, names: str) -> None:
    status, answer, _ = await gateway.call("POST", "/api/v1/tasks", json=body)
    assert status == 400
    assert set(answer) == {"detail"}
    assert names in answer["detail"]


async def test_no_json_and_no_key_get_a_detail_too(gateway: Gateway) -> None:
    status, answer, _ = await gateway.call("POST", "/api/v1/tasks", data=b"{")
    assert (status, set(answer)) == (400, {"detail"})
    status, answer, _ = await gateway.call("POST", "/api/v1/tasks", json={"prompt": "x"}, key=None)
    assert (status, set(answer)) == (401, {"detail"})
    status, answer, _ = await gateway.call("GET", "/api/v1/metrics", key=None)
    assert (status, set(answer)) == (401, {"detail"})


async def test_refusals_of_tasks_have_their_status_and_a_detail(gateway: Gateway, peers: Peers) -> None:
    peers.answer(tasks.CANCEL_TASK, Refused(RefusalCode.CONFLICT, "The task has completed already"))
    for method, path, expected in (
        ("DELETE", "/api/v1/tasks/task_1", 409),
        ("GET", "/api/v1/tasks/task_2", 404),
        ("GET", "/api/v1/tasks?limit=0", 400),
        ("GET", "/api/v1/tasks?status=Sleeping", 400),
        ("PATCH", "/api/v1/tasks/task_1", 405),
        ("GET", "/api/v1/profiles/Nobody", 404),
        ("DELETE", "/api/v1/roles/Nobody", 404),
    ):
        status, answer, _ = await gateway.call(method, path)
        assert (status, set(answer)) == (expected, {"detail"}), path


async def test_tasks_are_shown_listed_and_cancelled(gateway: Gateway, peers: Peers) -> None:
    summary = TaskSummary(
        task_id="task_1",
        status="Planned",
        error=None,
        prompt="x",
        profile="General",
        role="Chat-Agent",
        created_at=MOMENT,
        finished_at=None,
    )
    peers.answer(tasks.GET_TASK, task("Processing", result=None))
    peers.answer(tasks.LIST_TASKS, TaskPage(items=[summary], total=21, limit=20, offset=0, has_more=True))
    peers.answer(tasks.CANCEL_TASK, task("Cancelled", result=None))
    assert (await gateway.get("/api/v1/tasks/task_1"))["status"] == "Processing"
    page = await gateway.get("/api/v1/tasks?status=Planned")
    assert set(page) == {"items", "total", "limit", "offset", "has_more"}
    assert page["items"][0]["created_at"].endswith("Z")
    status, body, _ = await gateway.call("DELETE", "/api/v1/tasks/task_1")
    assert (status, body["status"]) == (200, "Cancelled")


@pytest.mark.parametrize(
    ("noun", "page", "one", "put", "delete"),
    [
        ("profiles", tasks.LIST_PROFILES, tasks.GET_PROFILE, tasks.PUT_PROFILE, tasks.DELETE_PROFILE),
        ("roles", tasks.LIST_ROLES, tasks.GET_ROLE, tasks.PUT_ROLE, tasks.DELETE_ROLE),
    ],
    ids=["profiles", "roles"],
)
async def test_system_prompts_are_edited(
    gateway: Gateway, peers: Peers, noun: str, page: Any, one: Any, put: Any, delete: Any
) -> None:
    persona = Persona(name="Law", system_prompt="Be exact.", description="", created_at=MOMENT, updated_at=MOMENT)
    for rpc in (one, put, delete):
        peers.answer(rpc, persona)
    peers.answer(page, PersonaPage(items=[persona], total=1, limit=20, offset=0, has_more=False))
    path = f"/api/v1/{noun}"
    status, body, _ = await gateway.call("PUT", f"{path}/Law", json={"system_prompt": "Be exact."})
    assert (status, body["name"], peers.asked(put).name) == (200, "Law", "Law")
    assert (await gateway.get(f"{path}/Law"))["system_prompt"] == "Be exact."
    assert [item["name"] for item in (await gateway.get(path))["items"]] == ["Law"]
    assert (await gateway.call("DELETE", f"{path}/Law"))[0] == 200
    for name, change in (("a%2Fb", {}), ("Law", {"name": "Other"}), ("Law", {"system_prompt": 1}), ("%20", {})):
        status, body, _ = await gateway.call("PUT", f"{path}/{name}", json={"system_prompt": "x", **change})
        assert (status, set(body)) == (400, {"detail"}), name


async def test_metrics_are_put_together_from_both_services(gateway: Gateway, peers: Peers) -> None:
    measured = RouterMetrics(tokens_per_second=41.5, average_response_time=0.25, total_requests=1000, cost=1.5)
    peers.answer(metrics.GET_ROUTER_METRICS, measured)
    peers.answer(tasks.COUNT_TASKS, TaskCounts(active=2, waiting=3, completed=9, failed=1))
    serve_engines(peers, "available", "unavailable", "disabled")
    assert await gateway.get("/api/v1/metrics") == {
        "server_status": "online",
        "llm_status": {"e0": "available", "e1": "unavailable", "e2": "disabled"},
        "tokens_per_second": 41.5,
        "average_response_time": 0.25,
        "total_requests": 1000,
        "active_tasks": 2,
        "queue_length": 3,
        "success_rate": 90.0,
        "api_costs": 1.5,
    }


async def test_metrics_are_of_the_window_that_is_asked_for(gateway: Gateway, peers: Peers) -> None:
    nothing = RouterMetrics(tokens_per_second=None, average_response_time=None, total_requests=0, cost=None)
    peers.answer(metrics.GET_ROUTER_METRICS, nothing)
    peers.answer(tasks.COUNT_TASKS, TaskCounts(active=0, waiting=0, completed=0, failed=0))
    serve_engines(peers, "available")
    for query, window in (("", 300), ("?window=60", 60)):
        await gateway.get(f"/api/v1/metrics{query}")
        assert peers.asked(metrics.GET_ROUTER_METRICS).window == peers.asked(tasks.COUNT_TASKS).window == window
    status, body, _ = await gateway.call("GET", "/api/v1/metrics?window=0")
    assert (status, set(body)) == (400, {"detail"})


async def test_metrics_of_a_platform_that_has_done_nothing_are_null(gateway: Gateway, peers: Peers) -> None:
    nothing = RouterMetrics(tokens_per_second=None, average_response_time=None, total_requests=0, cost=None)
    peers.answer(metrics.GET_ROUTER_METRICS, nothing)
    peers.answer(tasks.COUNT_TASKS, TaskCounts(active=0, waiting=0, completed=0, failed=0))
    serve_engines(peers, "unavailable")
    body = await gateway.get("/api/v1/metrics")
    assert body["server_status"] == "offline"
    assert [body[name] for name in ("tokens_per_second", "average_response_time", "success_rate", "api_costs")] == [
        None
    ] * 4
