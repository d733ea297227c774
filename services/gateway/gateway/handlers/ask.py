"""The one handler of most routes: the request becomes a message, the bus is asked, the reply becomes the answer."""

from aiohttp import web

from gateway.deps import Deps
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.routes.table import Route


async def ask(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    assert route.rpc is not None  # noqa: S101 - rows without one have a handler of their own
    message = await read_request(request, route)
    return respond(route, await deps.bus.ask(route.rpc, message))
