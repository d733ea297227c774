"""The HTTP table holds what the documents promise, and every row can be answered."""

import pytest

from contracts.base import Empty, Message
from gateway.handlers import handler_of
from gateway.routes import ROUTES
from gateway.routes.pages import PAGES
from gateway.routes.table import Family, Route, Special, Tag, family_of

DOCUMENTED = {
    "GET /health",
    "GET /api/v1/health",
    "GET /ready",
    "POST /api/v1/keys",
    "GET /api/v1/keys",
    "DELETE /api/v1/keys/{key_id}",
    "PUT /api/v1/keys/{key_id}",
    "PATCH /api/v1/keys/{key_id}",
    "POST /api/v1/jobs",
    "GET /api/v1/jobs",
    "GET /api/v1/jobs/{job_id}",
    "DELETE /api/v1/jobs/{job_id}",
    "POST /api/v1/datasets/upload",
    "GET /api/v1/datasets",
    "GET /api/v1/datasets/{dataset_id}",
    "GET /api/v1/datasets/{dataset_id}/preview",
    "GET /api/v1/models",
    "GET /api/v1/models/{model_id}",
    "GET /api/v1/models/{model_id}/download",
    "GET /api/v1/models/{model_id}/card",
    "GET /api/v1/logs/stream/{run_id}",
    "GET /api/v1/logs/history/{run_id}",
    "GET /api/v1/llm/config",
    "POST /api/v1/llm/config",
    "POST /api/v1/llm/test",
    "GET /api/v1/llm/models",
    "GET /api/v1/llm/actions",
    "POST /api/v1/llm/actions",
    "POST /api/v1/llm/actions/",
    "GET /api/v1/llm/actions/{action_id}",
    "PUT /api/v1/llm/actions/{action_id}",
    "DELETE /api/v1/llm/actions/{action_id}",
    "POST /api/v1/llm/actions/{action_id}/execute",
    "GET /api/v1/llm/actions/{action_id}/runs/{run_id}",
    "GET /api/v1/llm/actions/{action_id}/history",
    "GET /api/v1/llm/prompts",
    "GET /api/blocks",
    "POST /api/blocks",
    "GET /api/blocks/{block_id}",
    "PUT /api/blocks/{block_id}",
    "DELETE /api/blocks/{block_id}",
    "GET /api/payloads",
    "POST /api/payloads",
    "GET /api/payloads/{payload_id}",
    "PUT /api/payloads/{payload_id}",
    "DELETE /api/payloads/{payload_id}",
    "GET /api/llm/instances",
    "POST /api/llm/instances",
    "PUT /api/llm/instances/{port}",
    "DELETE /api/llm/instances/{port}",
    "GET /api/llm/test/{port}",
    "GET /api/llm/info/{port}",
    "GET /api/workflows",
    "POST /api/workflows",
    "GET /api/workflows/{workflow_id}",
    "PUT /api/workflows/{workflow_id}",
    "DELETE /api/workflows/{workflow_id}",
    "POST /api/v1/llm/generate-idea",
    "POST /api/v1/llm/expand-section/{section_id}",
    "POST /api/v1/llm/optimize-seo/{post_id}",
    "POST /api/v1/llm/generate-social/{section_id}",
    "POST /v1/chat/completions",
    "GET /v1/models",
    "GET /v1/models/{model}",
}


def test_every_documented_route_is_a_row() -> None:
    assert {f"{route.method} {route.template}" for route in ROUTES} >= DOCUMENTED


def test_every_row_is_said_once() -> None:
    rows = [(route.method, route.template) for route in ROUTES]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_row_has_a_handler(route: Route) -> None:
    assert callable(handler_of(route))


def test_every_special_answer_is_used() -> None:
    assert {route.special for route in ROUTES} - {None} == set(Special)


def test_only_what_must_be_is_open_to_anyone() -> None:
    opened = {route.template for route in ROUTES if route.role is None}
    health = {"/health", "/api/v1/health", "/ready"}
    assert opened == health | {"/openapi.json", "/api/v1/login", "/api/hooks/{hook_id}"} | {
        page.template for page in PAGES
    }


def test_no_viewer_may_write() -> None:
    own = {"/api/v1/logout", "/api/v1/logout-everywhere", "/api/v1/me/password", "/api/v1/tickets"}
    reading = {"/api/payloads/{payload_id}/preview"}
    assert {route.path for route in ROUTES if route.role == "viewer" and route.method != "GET"} <= own | reading


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/api/v1/llm", Family.LLM),
        ("/api/v1/llm/models", Family.LLM),
        ("/api/v1/llmx", Family.PIPELINE),
        ("/api/llm/instances", Family.ORCHESTRATION),
        ("/api/blocks/1", Family.ORCHESTRATION),
        ("/api/v1/tasks", Family.SERVER),
        ("/api/v1/metrics", Family.SERVER),
        ("/api/v1/jobs", Family.PIPELINE),
        ("/v1/models", Family.OPENAI),
        ("/anything", Family.PIPELINE),
    ],
)
def test_a_path_says_its_family(path: str, family: Family) -> None:
    assert family_of(path, "GET") is family


def test_template_settings_have_a_form_of_their_own_behind_the_path_of_actions() -> None:
    assert family_of("/api/v1/llm/actions/", "POST") is Family.TEMPLATES
    assert family_of("/api/v1/llm/actions/idea_seed", "GET") is Family.TEMPLATES
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/12"), ("PUT", "/idea_seed"), ("GET", "/12/history")):
        assert family_of(f"/api/v1/llm/actions{path}", method) is Family.LLM


def test_a_row_that_names_a_field_its_request_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="has no"):
        Route(
            method="GET",
            path="/x/{y}",
            tag=Tag.JOBS,
            summary="",
            role=None,
            request=Empty,
            response=None,
            special=Special.LEAD,
        )


def test_fields_come_from_path_query_or_body_by_the_method() -> None:
    class Request(Message):
        number: int
        name: str = ""

    def row(method: str) -> Route:
        return Route(
            method=method,  # type: ignore[arg-type]
            path="/x/{number:[0-9]+}",
            tag=Tag.JOBS,
            summary="",
            role=None,
            request=Request,
            response=None,
            special=Special.LEAD,
        )

    assert (row("GET").path_names, row("GET").query_names, row("GET").body_names) == (("number",), ("name",), ())
    assert (row("PUT").query_names, row("PUT").body_names) == ((), ("name",))
    assert row("PUT").template == "/x/{number}"
