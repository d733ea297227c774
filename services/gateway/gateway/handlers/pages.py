"""The pages for browsers, and the API description that one of them shows."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from aiohttp import web

from gateway.deps import Deps
from gateway.openapi import document
from gateway.routes import ROUTES
from gateway.routes.table import Route

_HOMES = {"/": "/docs", "/llm": "/llm/"}
_FILES = {"/docs": "docs/page.html", "/llm/": "llm/page.html"}
"""Files that are not named like their path."""

_HTML_HEADERS = {
    # Nothing from elsewhere, no script or style within the page, and text that becomes markup nowhere.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class _File:
    """What is sent, also compressed, and the tag that says whether a browser has it already."""

    body: bytes
    compressed: bytes
    tag: str


def _file(body: bytes) -> _File:
    return _File(body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:32])


@cache
def _openapi() -> _File:
    return _file(document(ROUTES))


@cache
def _static(name: str) -> _File:
    return _file((resources.files("gateway") / "static" / name).read_bytes())


async def lead(_deps: Deps, route: Route, _request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": _HOMES[route.path]})


async def openapi(_deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    return _sent(_openapi(), route, request)


async def page(_deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    return _sent(_static(_FILES.get(route.path, route.path.removeprefix("/"))), route, request)


def _sent(file: _File, route: Route, request: web.Request) -> web.Response:
    """The file; or word that the browser's copy is still the same, which it asks for every time it is used."""
    # The tag is weak: it names the file, compressed or not.
    headers = {"Cache-Control": "no-cache", "ETag": f'W/"{file.tag}"', "Vary": "Accept-Encoding"}
    if route.media == "text/html":
        headers |= _HTML_HEADERS
    if any(etag.value in (file.tag, "*") for etag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    charset = None if route.media == "application/json" else "utf-8"
    body = file.body
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = file.compressed
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=route.media, charset=charset, headers=headers)
