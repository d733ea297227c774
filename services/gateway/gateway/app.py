"""The web application: one resource per row of the table, and the server that runs it."""

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from common.context import Call, calling
from common.service import Service
from common.telemetry import get_logger
from gateway.deps import Deps
from gateway.edge.headers import add_headers
from gateway.edge.noted import REQUEST_ID
from gateway.edge.observing import observed
from gateway.edge.reading import idempotency_key
from gateway.edge.server import Runner
from gateway.handlers import handler_of
from gateway.routes import ROUTES, Route
from gateway.routes.table import Special
from gateway.watching import GOING_AWAY

_log = get_logger("http")
_BY_TUS = (Special.CREATE_UPLOAD, Special.GET_UPLOAD)
"""Whose answers to `OPTIONS` say what uploads may be like."""
_STRAYS = "unmatched"
"""The label of requests that no row of the table answers."""


def create_app(deps: Deps) -> web.Application:
    """Every route of the table, answered with `deps`."""
    app = web.Application(client_max_size=deps.settings.max_body_bytes)
    app.on_response_prepare.append(add_headers)
    for route in ROUTES:
        endpoint = observed(route.path, _endpoint(deps, route))
        app.router.add_route(route.method, route.path, endpoint)
        if route.method == "GET" and route.ends:
            app.router.add_route("HEAD", route.path, endpoint)
        if route.special in _BY_TUS:
            app.router.add_route("OPTIONS", route.path, endpoint)
    app.router.add_route("*", "/{stray:.*}", observed(_STRAYS, _refusal_of_strays(deps, tuple(app.router.resources()))))

    async def end_streams(_: web.Application) -> None:
        for task in tuple(deps.following):
            task.cancel()
        for socket in tuple(deps.sockets):
            GOING_AWAY.decide(socket)

    app.on_shutdown.append(end_streams)
    return app


def _endpoint(deps: Deps, route: Route) -> Handler:
    """Lets the caller in, then answers on the caller's behalf: what is asked over the bus says who asks."""
    answer = handler_of(route)

    async def endpoint(request: web.Request) -> web.StreamResponse:
        principal = await deps.admission.admit(request, route)
        key = idempotency_key(request) if route.once else None
        with calling(Call(principal=principal, idempotency_key=key, request_id=request[REQUEST_ID])):
            return await answer(deps, route, request)

    return endpoint


def _refusal_of_strays(deps: Deps, resources: Sequence[web.AbstractResource]) -> Handler:
    """What no row of the table answers has to be admitted, as all else, before it hears so."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        await deps.admission.admit(request, None)
        allowed: set[str] = set()
        for resource in resources:
            allowed |= (await resource.resolve(request))[1]
        raise web.HTTPMethodNotAllowed(request.method, allowed) if allowed else web.HTTPNotFound()

    return refuse


async def serve(service: Service, app: web.Application, deps: Deps) -> None:
    """Listens until the service ends, then gives requests `shutdown_seconds` to finish."""
    settings = deps.settings
    runner = Runner(
        app,
        access_log=None,
        # A client that goes away cancels its handler: nothing works on for nobody.
        handler_cancellation=True,
        shutdown_timeout=settings.shutdown_seconds,
    )
    await runner.setup()
    service.stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.host, settings.port, reuse_address=True).start()
    _log.info("listening", address=runner.addresses[0])
