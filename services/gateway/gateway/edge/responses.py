"""From a reply to an HTTP response: JSON by the row's form, refusals by the family's."""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from aiohttp import HttpVersion11, web
from pydantic import BaseModel

from contracts.base import Refused
from gateway.edge.headers import json_head
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


def plain_json(request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
    """For answers whose parts are not worth a model."""
    text = orjson.dumps(body)
    if request.version != HttpVersion11 or request.method == "HEAD":
        return web.Response(body=text, content_type=_JSON)
    return _JsonAnswer(text)


class _JsonAnswer(web.StreamResponse):
    """A whole answer of JSON, written in one piece.

    `web.Response` sorts out for each answer what is known of all of these: its form of headers, encoding, length. On
    the hot path that costs more than all that the edge itself does for a request.
    """

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text
        self._stays = False

    @property
    def keep_alive(self) -> bool | None:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends all of it. Raises ConnectionError when the client is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._stays = request.keep_alive
        transport.write(json_head(cast(web.Request, request), len(self._text)) + self._text)
        await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""


def refused(refusal: Refused, family: Family) -> web.Response:
    told = tell(refusal, family)
    return json_response(
        told.body, told.status, omit_absent=family in (Family.LLM, Family.TEMPLATES), headers=told.headers
    )
