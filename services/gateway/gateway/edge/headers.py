"""The headers that every answer carries, streams included."""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web

from common.allowances import Standing
from gateway.edge.noted import STANDING, STARTED, request_id_of
from gateway.limits import rates

_OPENAI = "/v1/"
ALWAYS = {
    "Server": "llm-platform",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_UNKEPT = {"Cache-Control": "no-store"}
_JSON_HEAD = "".join(
    f"{name}: {value}\r\n" for name, value in {"Content-Type": "application/json", **ALWAYS, **_UNKEPT}.items()
)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Run when the headers are about to be sent."""
    request[STARTED] = response
    response.headers.update(ALWAYS)
    response.headers.update(_own_headers(request))
    for name, value in _UNKEPT.items():
        response.headers.setdefault(name, value)


def json_head(request: web.Request, length: int) -> bytes:
    """The whole head of an answer of `length` bytes of JSON, in HTTP/1.1."""
    own = "".join([f"{name}: {value}\r\n" for name, value in _own_headers(request).items()])
    end = "" if request.keep_alive else "Connection: close\r\n"
    date = _date(int(time.time()))
    return f"HTTP/1.1 200 OK\r\n{_JSON_HEAD}{own}{end}Date: {date}\r\nContent-Length: {length}\r\n\r\n".encode()


def _own_headers(request: web.Request) -> dict[str, str]:
    """Those that differ from request to request."""
    standing: Standing | None = request.get(STANDING)
    headers = {} if standing is None else rates.headers(standing)
    if standing is not None and request.path.startswith(_OPENAI):
        headers |= rates.openai_headers(standing)
    headers["X-Request-ID"] = request_id_of(request)
    return headers


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
