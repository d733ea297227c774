"""What is noted on a request on its way through the edge."""

import re

from aiohttp import web

from common.allowances import Standing
from common.context import Principal
from common.identifiers import new_id

REQUEST_ID = web.RequestKey("request_id", str)
PRINCIPAL = web.RequestKey("principal", Principal)
STANDING = web.RequestKey("standing", Standing)
SESSION = web.RequestKey("session", str)
STARTED = web.RequestKey("started", web.StreamResponse)

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def note_request_id(request: web.Request) -> str:
    """The caller's own where it is short and plain, else a new one."""
    noted = request[REQUEST_ID] = _request_id(request)
    return noted


def request_id_of(request: web.Request) -> str:
    """The one that is noted, or is noted now."""
    noted: str | None = request.get(REQUEST_ID)
    return note_request_id(request) if noted is None else noted


def _request_id(request: web.Request) -> str:
    offered = request.headers.get("X-Request-ID")
    return offered if offered is not None and _SANE_ID.fullmatch(offered) else new_id()
