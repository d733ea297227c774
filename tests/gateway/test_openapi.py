"""The description is printed from the table, holds together, and has a page that shows it."""

import re
from importlib import resources
from typing import Any

import orjson
import pytest

from gateway.openapi import document
from gateway.routes import ROUTES
from tests.gateway.conftest import Gateway

DESCRIPTION: dict[str, Any] = orjson.loads(document(ROUTES))
OPERATIONS = [
    (path, method, operation) for path, item in DESCRIPTION["paths"].items() for method, operation in item.items()
]
STATIC = resources.files("gateway") / "static"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()


def test_it_is_openapi_3_1() -> None:
    assert DESCRIPTION["openapi"] == "3.1.0"
    assert set(DESCRIPTION["info"]) >= {"title", "version"}
    assert set(DESCRIPTION) <= {"openapi", "info", "servers", "tags", "paths", "components"}


def test_it_lists_every_route() -> None:
    assert {(path, method) for path, method, _ in OPERATIONS} == {(r.template, r.method.lower()) for r in ROUTES}


def test_every_reference_leads_somewhere_and_nothing_is_unused() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    assert references(DESCRIPTION) == {f"#/components/schemas/{name}" for name in schemas}


def test_operations_are_named_once() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"\w+", name) for name in names)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:40])
def test_an_operation_is_whole(path: str, method: str, operation: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in DESCRIPTION["tags"]}
    assert operation["summary"]
    assert set(operation["tags"]) <= tags
    in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
    assert all("schema" in parameter for parameter in operation["parameters"])
    assert "requestBody" not in operation or method in ("post", "put", "patch")
    assert {"500"} <= set(operation["responses"])
    assert all(response["description"] for response in operation["responses"].values())


def test_what_needs_a_key_says_so_and_how_it_is_refused() -> None:
    schemes = set(DESCRIPTION["components"]["securitySchemes"])
    for path, _, operation in OPERATIONS:
        named = {name for requirement in operation["security"] for name in requirement}
        assert named <= schemes
        assert not named or {"401", "403"} <= set(operation["responses"]), path


def test_refusals_are_described_in_the_form_of_the_family() -> None:
    def form(path: str, method: str, status: str) -> str:
        content = DESCRIPTION["paths"][path][method]["responses"][status]["content"]
        reference: str = content["application/json"]["schema"]["$ref"]
        return reference.rsplit("/", 1)[1]

    assert form("/api/v1/jobs", "post", "409") == "PipelineError"
    assert form("/api/v1/llm/test", "post", "400") == "LlmError"
    assert form("/v1/chat/completions", "post", "503") == "OpenAiError"


def test_a_body_leaves_out_what_the_path_says_and_a_query_has_its_limits() -> None:
    parameters = DESCRIPTION["paths"]["/api/v1/datasets/{dataset_id}/preview"]["get"]["parameters"]
    limit = next(p for p in parameters if p["name"] == "limit")
    assert (limit["in"], limit["required"]) == ("query", False)
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 100, 10)


def test_examples_fit_what_they_are_examples_of() -> None:
    for route in ROUTES:
        if route.example is not None:
            in_path = dict.fromkeys(re.findall(r"{(\w+)}", route.template), "1")
            # As a caller sends it: in JSON, besides what the path says, which is text.
            route.request.model_validate_json(orjson.dumps({**in_path, **route.example}))


async def test_it_is_served_to_anyone(gateway: Gateway) -> None:
    assert await gateway.get("/openapi.json", key=None) == DESCRIPTION


async def test_the_root_leads_to_the_page(gateway: Gateway) -> None:
    status, body, _ = await gateway.call("GET", "/", key=None)
    assert status == 200
    assert "<title>LLM Platform API</title>" in body


@pytest.mark.parametrize(
    ("path", "file", "media"),
    [
        ("/docs", "docs/page.html", "text/html; charset=utf-8"),
        ("/docs/page.js", "docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "docs/page.css", "text/css; charset=utf-8"),
        ("/llm/", "llm/page.html", "text/html; charset=utf-8"),
        ("/theme.css", "theme.css", "text/css; charset=utf-8"),
    ],
)
async def test_a_page_is_whole_and_is_sent_once(path: str, file: str, media: str, gateway: Gateway) -> None:
    status, body, headers = await gateway.call("GET", path, key=None)
    assert (status, headers["Content-Type"]) == (200, media)
    assert body == (STATIC / file).read_text(encoding="utf-8")
    assert headers["Content-Encoding"] == "gzip"
    plain = await gateway.call("GET", path, key=None, headers={"Accept-Encoding": "identity"})
    assert (plain[1], plain[2].get("Content-Encoding")) == (body, None)
    seen = {"If-None-Match": headers["ETag"]}
    assert (await gateway.call("GET", path, key=None, headers=seen))[:2] == (304, "")
    assert (await gateway.call("GET", path, key=None, headers={"If-None-Match": '"older"'}))[0] == 200


@pytest.mark.parametrize("page", ["/docs", "/llm/"])
async def test_a_page_runs_no_script_but_its_own_and_loads_nothing_from_elsewhere(page: str, gateway: Gateway) -> None:
    _, body, headers = await gateway.call("GET", page, key=None)
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none';" in policy
    assert "'unsafe" not in policy
    served = {route.path for route in ROUTES} | {"data:,"}
    assert set(re.findall(r'(?:src|href)="([^"]+)"', body)) <= served
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=", body)


def test_scripts_make_no_markup_of_text_and_call_nobody_else() -> None:
    for script in ("docs/page.js", "llm/page.js", "llm/calls.js", "llm/templates.js"):
        text = (STATIC / script).read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text)
