"""OpenAPI 3.1, printed from the HTTP table: what is answered and what is described cannot differ."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, get_args

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts.base import RefusalCode
from contracts.gateway import ResponseStyle
from contracts.orchestrator import JobCancelled, JobDeleted
from gateway import API_VERSION
from gateway.domain.chat import ChatCompletionChunk
from gateway.domain.response_events import ResponseEvent
from gateway.domain.run_events import RunEnd, RunEvent
from gateway.domain.text import Completion
from gateway.domain.trial import TrialDelta, TrialResult
from gateway.edge import cookies
from gateway.errors import FORMS, OUTCOMES, LlmError, OpenAiError
from gateway.routes.models import PresignedDownload
from gateway.routes.table import IDEMPOTENCY_HEADER, STYLE_HEADER, Family, Route, Special, Tag

Json = dict[str, Any]
_Mode = Literal["validation", "serialization"]
_Schemas = Mapping[tuple[Any, _Mode], Json]
"""By model and by whether it is read or written."""

_REF = "#/components/schemas/{model}"
_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_JSON = "application/json"
_EVENTS = "text/event-stream"
_ANY_ROUTE = (RefusalCode.INTERNAL, RefusalCode.RATE_LIMITED)
_BEHIND_A_KEY = (RefusalCode.UNAUTHENTICATED, RefusalCode.FORBIDDEN)
_OVER_THE_BUS = (RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT)
_FURTHER_ANSWERS: Mapping[Special, tuple[str, tuple[type[BaseModel], ...]]] = {
    Special.CHAT: (_EVENTS, (ChatCompletionChunk, OpenAiError)),
    Special.TEXT: (_EVENTS, (Completion, OpenAiError)),
    Special.RESPONSES: (_EVENTS, (ResponseEvent,)),
    Special.TEST_PROMPT: (_EVENTS, (TrialDelta, TrialResult, LlmError)),
    Special.FOLLOW_RUN: (_EVENTS, (RunEvent, RunEnd)),
    Special.DOWNLOAD_MODEL: (_JSON, (PresignedDownload,)),
    Special.END_JOB: (_JSON, (JobCancelled, JobDeleted)),
}
"""What a row may answer with besides its own form: one of these models, or events whose data is one of them."""
_DONE = {Special.CHAT, Special.TEXT}
"""Streams whose last event says `[DONE]`."""

_MEANINGS: Mapping[int, str] = {
    400: "The request is not valid",
    401: "No key, or one that is not valid",
    403: "The key's role does not allow this",
    404: "There is no such thing",
    409: "It conflicts with what there is",
    413: "The request is too large",
    429: "Too many requests; `Retry-After` says when to try again",
    500: "Something failed here",
    502: "The engine failed",
    503: "A part of the platform is not available; `Retry-After` says when to try again",
    504: "No answer in time",
}


def document(routes: Sequence[Route]) -> bytes:
    """The whole description as JSON."""
    schemas, definitions = _schemas(routes)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.template][route.method.lower()] = _operation(route, schemas, definitions)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "LLM Platform",
                "version": API_VERSION,
                "description": "Data sets, fine-tuning jobs, models and completions behind one gateway.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": tag.value} for tag in Tag if any(route.tag is tag for route in routes)],
            "paths": paths,
            "components": {
                "schemas": _used(paths, definitions),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
                    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "session": {
                        "type": "apiKey",
                        "in": "cookie",
                        "name": cookies.NAME,
                        "description": "A session; what changes something also needs the header `X-CSRF-Token`",
                    },
                },
            },
        }
    )


def _schemas(routes: Iterable[Route]) -> tuple[_Schemas, Json]:
    """The schema of every model that the routes take or give, and the definitions those refer to."""
    models: dict[tuple[type[BaseModel], _Mode], None] = {}
    for route in routes:
        models[route.request, "validation"] = None
        if route.response is not None:
            models[route.response, "serialization"] = None
    models.update(dict.fromkeys((form, "serialization") for form in FORMS.values()))
    models.update({(model, "serialization"): None for _, further in _FURTHER_ANSWERS.values() for model in further})
    found, root = models_json_schema(list(models), ref_template=_REF)
    return found, root["$defs"]


def _used(described: object, definitions: Json) -> Json:
    """The definitions that are referred to: a request that is all path and query needs none."""
    used: Json = {}
    unread = [described]
    while unread:
        for name in sorted(set(_REFERENCE.findall(orjson.dumps(unread.pop()).decode())) - used.keys()):
            used[name] = definitions[name]
            unread.append(definitions[name])
    return dict(sorted(used.items()))


def _operation(route: Route, schemas: _Schemas, definitions: Json) -> Json:
    request = schemas[route.request, "validation"]
    properties = _resolved(request, definitions)
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [route.tag.value],
        "summary": route.summary,
        "parameters": _parameters(route, properties),
        "responses": _responses(route, schemas),
        "security": [] if route.role is None else [{"bearer": []}, {"apiKey": []}, {"session": []}],
    }
    if description := _description(route):
        operation["description"] = description
    if route.body_names:
        operation["requestBody"] = _body(route, request, properties)
    elif route.special is Special.CALL_WEBHOOK:
        operation["requestBody"] = {"content": {_JSON: {"schema": {}}}}
    return operation


def _operation_id(route: Route) -> str:
    words = route.template.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_").split("/")
    # `/llm` and `/llm/` are two paths.
    slash = ["slash"] if route.template.endswith("/") and any(words) else []
    return "_".join([route.method.lower(), *filter(None, words), *slash])


def _description(route: Route) -> str:
    role = f"Needs the role `{route.role}`." if route.role in ("member", "admin") else ""
    return " ".join(filter(None, (route.description, role)))


def _resolved(schema: Json, definitions: Json) -> Json:
    reference = schema.get("$ref")
    found: Json = definitions[reference.rsplit("/", 1)[1]] if reference else schema
    return found


def _parameters(route: Route, properties: Json) -> list[Json]:
    places = [(name, "path") for name in route.path_names] + [(name, "query") for name in route.query_names]
    return [*_listed(places, properties), *_headers(route)]


def _headers(route: Route) -> list[Json]:
    """The headers that are the row's own."""
    if route.special in (Special.STREAM_LOGS, Special.FOLLOW_RUN):
        resume = {"type": "string", "description": "The id of the last event that was seen"}
        return [{"name": "Last-Event-ID", "in": "header", "schema": resume}]
    if route.special is Special.DOWNLOAD_MODEL:
        part = {"type": "string", "description": "A part of the bytes, as `bytes=1000-`"}
        tag = {"type": "string", "description": "The `ETag` that `Range` holds for: of something else all is sent"}
        return [{"name": "Range", "in": "header", "schema": part}, {"name": "If-Range", "in": "header", "schema": tag}]
    if route.special is Special.LIST_ACTIONS:
        style = {"type": "string", "enum": list(get_args(ResponseStyle)), "description": "The key's own, if not given"}
        return [{"name": STYLE_HEADER, "in": "header", "schema": style}]
    if route.once:
        key = {
            "type": "string",
            "pattern": "^[ -~]+$",
            "minLength": 1,
            "maxLength": 255,
            "description": "Names the request: repeated with the same key it is done once",
        }
        return [{"name": IDEMPOTENCY_HEADER, "in": "header", "schema": key}]
    return []


def _listed(places: Iterable[tuple[str, str]], model: Json) -> list[Json]:
    required = model.get("required", [])
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in required,
            "schema": model["properties"][name],
        }
        for name, place in places
    ]


def _body(route: Route, request: Json, model: Json) -> Json:
    """The model itself, or what the path leaves of it."""
    schema = request
    if route.path_names:
        schema = {
            **model,
            "properties": {name: model["properties"][name] for name in route.body_names},
            "required": [name for name in model.get("required", []) if name in route.body_names],
        }
    content: Json = {"schema": schema}
    if route.example is not None:
        content["example"] = route.example
    return {"required": True, "content": {route.request_media: content}}


def _responses(route: Route, schemas: _Schemas) -> Json:
    content: Json = {}
    if route.response is not None:
        content[_JSON] = {"schema": schemas[route.response, "serialization"]}
    elif route.status != HTTPStatus.SWITCHING_PROTOCOLS:
        content[route.media] = {}
    if route.special is not None and route.special in _FURTHER_ANSWERS:
        media, further = _FURTHER_ANSWERS[route.special]
        told = [schemas[model, "serialization"] for model in further]
        content[media] = {"schema": _event(told, done=route.special in _DONE) if media == _EVENTS else _one_of(told)}
    responses: Json = {str(route.status): {"description": "Done", "content": content}}
    if route.special is Special.DOWNLOAD_MODEL:
        responses["206"] = {"description": "The part that `Range` asks for", "content": {route.media: {}}}
    form = schemas[FORMS[route.family], "serialization"]
    if route.special is Special.NAMED_ACTION:
        # Both kinds of resource stand behind the one path.
        form = {"anyOf": [schemas[FORMS[family], "serialization"] for family in (Family.LLM, Family.TEMPLATES)]}
    for status in sorted({OUTCOMES[code].status for code in _refusals(route)}):
        responses[str(status)] = {"description": _MEANINGS[status], "content": {_JSON: {"schema": form}}}
    return responses


def _event(told: Iterable[Json], *, done: bool) -> Json:
    """One server-sent event, which is what the schema of a stream describes: its `data` is JSON in a text."""
    data: list[Json] = [{"type": "string", "contentMediaType": _JSON, "contentSchema": schema} for schema in told]
    if done:
        data.append({"const": "[DONE]"})
    return {"type": "object", "properties": {"event": {"type": "string"}, "data": _one_of(data)}, "required": ["data"]}


def _one_of(schemas: list[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _refusals(route: Route) -> set[RefusalCode]:
    """What a row may be refused for: its own refusals, and those of the edge that it can meet."""
    codes = {*_ANY_ROUTE, *route.refusals}
    if route.role is not None:
        codes |= {*_BEHIND_A_KEY, *_OVER_THE_BUS}
    if route.body_names:
        codes |= {RefusalCode.INVALID, RefusalCode.TOO_LARGE}
    if route.query_names or route.path_names:
        codes.add(RefusalCode.INVALID)
    return codes
