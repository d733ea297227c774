"""What every request meets at the edge, and how it is refused there: in the form of its family."""

import asyncio
import re
from typing import Any

import pytest
from prometheus_client import REGISTRY

from contracts import orchestrator, registry, router
from contracts.base import RefusalCode, Refused
from tests.gateway.conftest import ADMIN_KEY, Gateway, Start
from tests.gateway.peers import Peers, job

FAMILIES = {
    "/api/v1/llm/nowhere": {"status", "message", "errors", "error"},
    "/api/nowhere": {"error"},
    "/api/v1/tasks/nowhere": {"detail"},
    "/api/v1/nowhere": {"error", "message", "metadata"},
    "/v1/nowhere": {"error"},
    "/nowhere": {"error", "message", "metadata"},
}


@pytest.mark.parametrize("path", FAMILIES)
async def test_an_unknown_path_is_refused_in_the_form_of_its_family(path: str, gateway: Gateway) -> None:
    status, body, _ = await gateway.call("GET", path)
    assert status == 404
    assert set(body) == FAMILIES[path]


async def test_each_family_says_what_is_wrong_where_its_clients_look(gateway: Gateway) -> None:
    async def refusal(path: str) -> Any:
        return (await gateway.call("GET", path))[1]

    assert (await refusal("/api/v1/nowhere"))["error"] == "NOT_FOUND"
    assert (await refusal("/api/v1/llm/nowhere"))["errors"][0]["code"] == "not_found"
    assert isinstance((await refusal("/api/nowhere"))["error"], str)
    assert isinstance((await refusal("/api/v1/metrics/nowhere"))["detail"], str)
    assert set((await refusal("/v1/nowhere"))["error"]) == {"message", "type", "param", "code"}


async def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_does(gateway: Gateway) -> None:
    status, body, headers = await gateway.call("PUT", "/api/v1/jobs")
    assert (status, body["error"]) == (405, "METHOD_NOT_ALLOWED")
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        (b'{"prompt": ', "body", "Invalid JSON"),
        (b"[]", "body", "must be an object"),
        (b"", "prompt", "field required"),
        (b'{"prompt": "a", "promt": "b"}', "promt", "unknown field"),
        (b'{"prompt": "a", "temperature": 3}', "temperature", "less than or equal to 2"),
        (b'{"prompt": "a\\u0000b"}', "body", "NUL"),
        (b'{"prompt": "\xff"}', "body", "Invalid JSON"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_field_by_field(
    sent: bytes, field: str, message: str, gateway: Gateway, peers: Peers
) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/llm/test", data=sent)
    assert status == 400
    assert body["status"] == "error"
    assert message in body["error"]["details"][field][0]
    assert body["errors"][0] == {"code": "invalid", "message": body["error"]["details"][field][0], "details": field}
    assert body["error"]["troubleshooting"]
    assert not peers.heard


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(gateway: Gateway, peers: Peers) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    status, body, _ = await gateway.call("POST", "/v1/chat/completions", data=b"{}", headers=headers)
    assert (status, body["error"]["param"]) == (400, "body")
    assert "Content-Encoding" in body["error"]["message"]
    assert not peers.heard


async def test_a_missing_field_is_worded_as_in_document_e(gateway: Gateway) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/jobs", json={"pipeline_config": {"nodes": [{}]}})
    assert status == 400
    assert body == {
        "error": "VALIDATION_ERROR",
        "message": "Input validation failed",
        "metadata": {
            "errors": [
                {"field": "pipeline_config.nodes.0.agent_name", "message": "field required"},
                {"field": "pipeline_config.nodes.0.agent_class", "message": "field required"},
            ]
        },
    }


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=101", "limit", "less than or equal to 100"),
        ("limit=many", "limit", "valid integer"),
        ("limt=5", "limt", "unknown field"),
        ("limit=5&limit=6", "limit", "given more than once"),
        ("status=done", "status", "Input should be"),
        ("status=%00", "status", "NUL"),
    ],
)
async def test_a_query_that_does_not_fit_is_refused_field_by_field(
    query: str, field: str, message: str, gateway: Gateway, peers: Peers
) -> None:
    status, body, _ = await gateway.call("GET", f"/api/v1/jobs?{query}")
    assert (status, body["error"]) == (400, "VALIDATION_ERROR")
    assert body["metadata"]["errors"][0]["field"] == field
    assert message in body["metadata"]["errors"][0]["message"]
    assert not peers.heard


async def test_a_query_where_none_is_taken_is_refused(gateway: Gateway) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/jobs?dry=1", json={})
    assert status == 400
    assert {"field": "dry", "message": "unknown field"} in body["metadata"]["errors"]


async def test_path_and_query_become_one_question(gateway: Gateway, peers: Peers) -> None:
    await gateway.call("GET", "/api/v1/datasets/ds_%C3%A4/preview?limit=7")
    assert peers.asked(registry.PREVIEW_DATASET) == registry.PreviewDataset(dataset_id="ds_ä", limit=7)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(announced: bool, start: Start, peers: Peers) -> None:
    data = b'{"prompt": "' + b"x" * 5000 + b'"}'

    async def pieces() -> Any:
        yield data

    async with start(max_body_bytes=4096) as gateway:
        status, body, _ = await gateway.call("POST", "/v1/chat/completions", data=data if announced else pieces())
    assert status == 413
    assert body["error"]["code"] == "payload_too_large"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {ADMIN_KEY}"},
        {"X-API-Key": "wrong"},
        {"Authorization": "Bearer llmp_000000000000_" + "a" * 43},
        {"Authorization": "Bearer llmp_ü_ü"},
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/llm/config", "/v1/models"])
async def test_without_a_valid_key_nothing_is_answered(
    headers: dict[str, str], path: str, gateway: Gateway, peers: Peers
) -> None:
    status, body, answered = await gateway.call("GET", path, key=None, headers=headers)
    assert status == 401
    assert answered["WWW-Authenticate"].startswith("Bearer")
    assert "error" in body
    assert not peers.heard


async def test_an_empty_admin_key_opens_nothing(start: Start, peers: Peers) -> None:
    async with start(admin_key="") as gateway:
        for headers in ({}, {"Authorization": "Bearer "}, {"X-API-Key": ""}):
            assert (await gateway.call("GET", "/api/v1/jobs", key=None, headers=headers))[0] == 401


async def test_a_key_may_come_in_either_header(gateway: Gateway) -> None:
    assert (await gateway.call("GET", "/api/v1/jobs", key=None, headers={"X-API-Key": ADMIN_KEY}))[0] == 200
    assert (await gateway.call("GET", "/api/v1/jobs", headers={"Authorization": f"bearer  {ADMIN_KEY}"}))[0] == 200


async def test_a_crash_is_answered_without_its_inside(
    gateway: Gateway, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers.answer(orchestrator.LIST_JOBS, RuntimeError("password=hunter2"))
    status, body, _ = await gateway.call("GET", "/api/v1/jobs")
    assert (status, body["error"]) == (500, "INTERNAL_ERROR")

    def crash(*_: object) -> None:
        raise ZeroDivisionError("password=hunter2")

    monkeypatch.setattr("gateway.handlers.ask.read_request", crash)
    status, body, headers = await gateway.call("GET", "/api/v1/jobs")
    assert (status, body["error"]) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in str(body)
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (Refused(RefusalCode.CONFLICT, "It ended"), 409, "CONFLICT"),
        (Refused(RefusalCode.NOT_FOUND, "No job", {"job_id": "job_x"}), 404, "NOT_FOUND"),
    ],
)
async def test_a_service_s_refusal_reaches_the_caller(
    refusal: Refused, status: int, code: str, gateway: Gateway, peers: Peers
) -> None:
    peers.answer(orchestrator.CANCEL_JOB, refusal)
    answered, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_x")
    assert answered == status
    assert body == {"error": code, "message": refusal.message, "metadata": refusal.metadata}


async def test_a_part_that_is_away_is_told_with_when_to_come_back(gateway: Gateway, peers: Peers) -> None:
    await peers.buses.pop("orchestrator").close()
    status, body, headers = await gateway.call("GET", "/api/v1/jobs")
    assert (status, body["error"]) == (503, "UNAVAILABLE")
    assert int(headers["Retry-After"]) > 0


async def test_a_request_id_is_taken_over_or_made(gateway: Gateway, peers: Peers) -> None:
    _, _, headers = await gateway.call("GET", "/api/v1/jobs", headers={"X-Request-ID": "order-66:a"})
    assert headers["x-request-id"] == "order-66:a"
    assert peers.call(orchestrator.LIST_JOBS).request_id == "order-66:a"
    for strange in ("a b", "x" * 200, 'a"b', ""):
        _, _, headers = await gateway.call("GET", "/api/v1/nowhere", headers={"X-Request-ID": strange})
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


async def test_the_services_hear_who_asks(gateway: Gateway, peers: Peers) -> None:
    made = await gateway.post("/api/v1/keys", {"name": "nightly"}, status=201)
    await gateway.get("/api/v1/jobs", key=made["key"])
    principal = peers.call(orchestrator.LIST_JOBS).principal
    assert principal is not None
    assert (principal.id, principal.name, principal.role) == (made["key_id"], "nightly", "member")


async def test_every_answer_carries_the_security_headers(gateway: Gateway) -> None:
    for path in ("/health", "/api/v1/jobs", "/nowhere", "/docs"):
        _, _, headers = await gateway.call("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Server"] == "llm-platform"
        assert headers["Cache-Control"] in ("no-store", "no-cache")


async def test_head_answers_as_get_does_without_a_body(gateway: Gateway) -> None:
    async with gateway.client.head(f"{gateway.url}/health") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.read() == b""


async def test_requests_are_counted_by_route_and_never_by_path(gateway: Gateway, peers: Peers) -> None:
    def count(route: str, status: str) -> float:
        labels = {"method": "GET", "route": route, "status": status}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0

    peers.answer(orchestrator.GET_JOB, job())
    found, unmatched = count("/api/v1/jobs/{job_id}", "2xx"), count("unmatched", "4xx")
    await gateway.get("/api/v1/jobs/job_abc123")
    await gateway.call("GET", "/api/v1/nowhere")
    await asyncio.sleep(0.05)
    assert count("/api/v1/jobs/{job_id}", "2xx") == found + 1
    assert count("unmatched", "4xx") == unmatched + 1


async def test_an_llm_error_tells_temporary_from_permanent(gateway: Gateway, peers: Peers) -> None:
    peers.answer(router.TEST_PROMPT, Refused(RefusalCode.TIMEOUT, "The model did not load in 60 seconds"))
    status, body, _ = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "a"})
    assert status == 504
    assert (body["error"]["type"], body["error"]["temporary"]) == ("timeout", True)
    peers.answer(router.TEST_PROMPT, Refused(RefusalCode.NOT_FOUND, "There is no model 'x'"))
    status, body, _ = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "a"})
    assert status == 404
    assert (body["error"]["type"], body["error"]["temporary"]) == ("not_found", False)
    assert body == {
        "status": "error",
        "message": "There is no model 'x'",
        "errors": [{"code": "not_found", "message": "There is no model 'x'"}],
        "error": body["error"],
    }
