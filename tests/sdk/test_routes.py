"""Every route of the platform has its call in the client, which asks it as it is described."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import orjson
import pytest

from gateway.openapi import document
from gateway.routes import ROUTES
from llm_platform.client import _Families
from llm_platform.core.binding import flow, operation
from llm_platform.core.effects import Dial, Open, Request, Send, begin
from llm_platform.core.retrying import Retries
from sdk_codegen.python import snake_case
from sdk_codegen.reference import javascript_calls

DESCRIPTION = orjson.loads(document(ROUTES))
IN_ALL_OF_THEM = ("ticket", "offset", "last_event_id", "cursor")
"""What the client sees to by itself."""
ASKED_ON_THE_WAY = re.compile(r"/api/v1/models/{model_id}/download|/api/v1/datasets/uploads.*")
"""What calls ask for besides what they ask first: of a download which model, of a large upload how much is there."""
OF_ANOTHER_CALL = {"jobs.cancel": {"purge"}}
"""What makes it that one, `jobs.delete`."""
OF_ITSELF_ONCE = "datasets.upload"
"""The same content under the same name is one data set."""
OF_BROWSERS = re.compile(
    r"/|/theme\.css|/docs.*|/llm/?.*|/openapi\.json|/api/hooks/.*|/api/v1/(login|logout.*|health|me/password)"
)
"""Pages and sessions are for browsers, webhooks for other systems."""


def asked(file: Path) -> Iterator[tuple[str, Request]]:
    """What each call of the client asks first, given something for every parameter."""
    families = _Families(SimpleNamespace(retries=Retries()))  # type: ignore[type-var]
    for family_name, family in vars(families).items():
        for name, call in inspect.getmembers_static(type(family), lambda member: isinstance(member, operation | flow)):
            parameters = list(inspect.signature(call.describe).parameters.values())[1:]
            given = {p.name: _something(p, file) for p in parameters if p.kind is not p.VAR_KEYWORD}
            given |= {field: 1 for p in parameters if p.kind is p.VAR_KEYWORD for field in _of_query(p)}
            effect = begin(call.describe(family, **given))
            match effect:
                case Send(request) | Open(request, _):
                    yield f"{family_name}.{name}", request
                case Dial(path, query):
                    yield f"{family_name}.{name}", Request("GET", path, query)
                case _:
                    raise AssertionError(f"{family_name}.{name} asks nothing: {effect}")


def _of_query(fields: inspect.Parameter) -> list[str]:
    """What `**fields` may name, if it is a query; a body's fields are not asked for here."""
    described = get_args(fields.annotation)[0]
    return list(described.__annotations__) if described.__name__.endswith("Query") else []


def _something(parameter: inspect.Parameter, file: Path) -> Any:
    match parameter.name:
        case "file":
            return file
        case "path":
            return file.with_name("out")
        case "inputs" | "input_data" | "document" | "job":
            return {}
        case "source_field" | "name" | "filename":
            return "word"
        case "progress":
            return None
        case _:
            return 1 if parameter.default is None or parameter.default is parameter.empty else parameter.default


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Request]]:
    file = tmp_path_factory.mktemp("routes") / "rows.csv"
    file.write_text("a,b\n1,2\n")
    return list(asked(file))


def described(request: Request) -> tuple[str, dict[str, Any]] | None:
    """The path and the operation that the request is one of; the most literal, where two fit."""
    fitting = [
        (path, item[request.method.lower()])
        for path, item in DESCRIPTION["paths"].items()
        if request.method.lower() in item and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path)
    ]
    return min(fitting, key=lambda found: found[0].count("{"), default=None)


def test_every_call_asks_a_route_that_there_is(calls: list[tuple[str, Request]]) -> None:
    assert not [name for name, request in calls if described(request) is None]


def test_every_route_has_a_call(calls: list[tuple[str, Request]]) -> None:
    reached = {(found[0], request.method) for _, request in calls if (found := described(request)) is not None}
    missing = [
        f"{method.upper()} {path}"
        for path, item in DESCRIPTION["paths"].items()
        for method in item
        if (path, method.upper()) not in reached
        and not ASKED_ON_THE_WAY.fullmatch(path)
        and not OF_BROWSERS.fullmatch(path)
    ]
    assert not missing


def test_what_the_query_may_say_can_be_said_and_nothing_else(calls: list[tuple[str, Request]]) -> None:
    wrong = {}
    for name, request in calls:
        if (found := described(request)) is not None:
            known = {p["name"] for p in found[1]["parameters"] if p["in"] == "query"}
            unsaid = known - request.query.keys() - OF_ANOTHER_CALL.get(name, set())
            if request.query.keys() - known or unsaid - {*IN_ALL_OF_THEM, "presigned"}:
                wrong[name] = sorted(known ^ request.query.keys())
    assert not wrong


def test_a_call_is_repeatable_where_the_platform_does_it_once(calls: list[tuple[str, Request]]) -> None:
    wrong = []
    for name, request in calls:
        if (found := described(request)) is not None:
            once = any(p["name"] == "Idempotency-Key" for p in found[1]["parameters"])
            if request.once != once and name != OF_ITSELF_ONCE:
                wrong.append(name)
    assert not wrong


def test_both_clients_have_the_same_calls(calls: list[tuple[str, Request]]) -> None:
    in_javascript = {
        f"{family}.{snake_case(method['name'])}"
        for family, methods in javascript_calls(Path(__file__).parents[2] / "libs/sdk-js/src").items()
        for method in methods
    }
    assert {name for name, _ in calls} == in_javascript
