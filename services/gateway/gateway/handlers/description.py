"""The API description: OpenAPI, and the page that shows it."""

from functools import cache
from importlib import resources

from aiohttp import web

from gateway.deps import Deps
from gateway.openapi import document
from gateway.routes import ROUTES
from gateway.routes.table import Route

_REVALIDATE = {"Cache-Control": "no-cache"}
_PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"


@cache
def _openapi() -> bytes:
    return document(ROUTES)


@cache
def _static(name: str) -> bytes:
    return (resources.files("gateway") / "static" / name).read_bytes()


async def lead_to_docs(_deps: Deps, _route: Route, _request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/docs"})


async def openapi(_deps: Deps, route: Route, _request: web.Request) -> web.StreamResponse:
    return web.Response(body=_openapi(), content_type=route.media, headers=_REVALIDATE)


async def page(_deps: Deps, route: Route, _request: web.Request) -> web.StreamResponse:
    return _file("page.html", route, {"Content-Security-Policy": _PAGE_POLICY})


async def script(_deps: Deps, route: Route, _request: web.Request) -> web.StreamResponse:
    return _file("page.js", route, {})


async def style(_deps: Deps, route: Route, _request: web.Request) -> web.StreamResponse:
    return _file("page.css", route, {})


def _file(name: str, route: Route, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=_static(name), content_type=route.media, charset="utf-8", headers={**_REVALIDATE, **headers}
    )
