"""How the platform is, and whether this gateway can take requests."""

from aiohttp import web

from gateway.deps import Deps
from gateway.edge.responses import json_response
from gateway.routes.platform import Readiness
from gateway.routes.table import Route


async def health(deps: Deps, _route: Route, _request: web.Request) -> web.StreamResponse:
    """503 only when nothing works; a platform that lost a part still answers what the others can."""
    seen = await deps.health.look()
    return json_response(seen, 503 if seen.status == "unhealthy" else 200)


async def readiness(deps: Deps, _route: Route, _request: web.Request) -> web.StreamResponse:
    states = await deps.readiness()
    ready = all(state == "ok" for state in states.values())
    # What exactly is wrong stays inside: this route is open to anyone.
    body = Readiness(
        status="ready" if ready else "not ready",
        checks={name: "ok" if state == "ok" else "unavailable" for name, state in states.items()},
    )
    return json_response(body, 200 if ready else 503)
