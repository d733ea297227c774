"""From a reply to an HTTP response: JSON by the row's form, refusals by the family's, server-sent events."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from contracts.base import Refused
from gateway.errors import tell
from gateway.routes.table import Family, Route

_JSON = "application/json"


def respond(route: Route, reply: BaseModel) -> web.Response:
    """The answer of `route`: its reply, in the form the row asks for."""
    shaped = reply if route.shape is None else route.shape(reply)
    if isinstance(shaped, str):
        return web.Response(text=shaped, content_type=route.media, charset="utf-8", status=route.status)
    return json_response(shaped, route.status, omit_absent=route.omit_absent)


def json_response(
    body: BaseModel,
    status: int = 200,
    *,
    omit_absent: bool = False,
    omit_unset: bool = False,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    text = body.model_dump_json(exclude_none=omit_absent, exclude_unset=omit_unset)
    return web.Response(body=text.encode(), content_type=_JSON, status=status, headers=headers)


def plain_json(body: Mapping[str, Any]) -> web.Response:
    """For answers whose parts are not worth a model."""
    return web.Response(body=orjson.dumps(body), content_type=_JSON)


def refused(refusal: Refused, family: Family) -> web.Response:
    told = tell(refusal, family)
    return json_response(
        told.body, told.status, omit_absent=family in (Family.LLM, Family.TEMPLATES), headers=told.headers
    )


def event_stream() -> web.StreamResponse:
    """An answer of server-sent events, which nothing on the way may keep or hold back."""
    return web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
        }
    )
