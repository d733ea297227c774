"""The shell that both engines run in: JSON and event streams, errors, traces, metrics, and a clean start and stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import uvloop
from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from pydantic import ValidationError

from common import telemetry, tracing
from common.tracing import SpanKind
from engines.openai_wire import ApiError, internal_error, invalid_request, model_not_found

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 16 * 1024 * 1024
DRAIN_SECONDS = 5.0
"""How long requests may go on after SIGTERM before they are cancelled."""

log = telemetry.get_logger()


# Answers


def json_response(body: object, status: int = 200) -> web.Response:
    return bytes_response(orjson.dumps(body), status)


def bytes_response(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    response = bytes_response(error.body(), error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


async def open_event_stream(request: web.Request) -> web.StreamResponse:
    """Sends the head of a stream of server-sent events, unbuffered by proxies."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    return response


def cut_off(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Breaks the connection in the middle of a stream, as an engine that dies does: the client sees no proper end."""
    if request.transport is not None:
        request.transport.abort()
    return response


# Middleware


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises before it has answered into an error of OpenAI's form."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except ValidationError as error:
        return error_response(invalid_request(error))
    except ConnectionError:
        return web.Response(status=499)  # the client has gone; nobody reads this
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        return error_response(ApiError(error.status, message))
    except Exception:
        log.exception("request failed", path=request.path)
        return error_response(internal_error())


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Goes on with the caller's trace where there is one, so that a trace reaches from the gateway to the engine.

    A request that belongs to no trace (a health check, a scrape) starts none.
    """
    if "traceparent" not in request.headers:
        return await handler(request)
    with tracing.hop(f"{request.method} {request.path}", SpanKind.SERVER, headers=request.headers) as span:
        span.set_attributes({"http.request.method": request.method, "url.path": request.path})
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        return response


def note_completion(model: str, prompt_tokens: int, completion_tokens: int) -> None:
    """Names the model and its tokens on the current span, as the GenAI conventions do."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(
            {
                "gen_ai.request.model": model,
                "gen_ai.usage.input_tokens": prompt_tokens,
                "gen_ai.usage.output_tokens": completion_tokens,
            }
        )


# Endpoints that both engines have


async def health(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


def metrics_endpoint(collector: Collector) -> Handler:
    """`GET /metrics`, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(collector)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return metrics


def model_endpoints(cards: Callable[[], list[dict[str, object]]]) -> list[web.RouteDef]:
    """`GET /v1/models` and `GET /v1/models/{id}`, where an id may hold slashes."""

    async def list_models(_request: web.Request) -> web.Response:
        return json_response({"object": "list", "data": cards()})

    async def get_model(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        for card in cards():
            if card["id"] == name:
                return json_response(card)
        raise model_not_found(name)

    return [web.get("/v1/models", list_models), web.get("/v1/models/{name:.+}", get_model)]


# Running


def application(routes: list[web.RouteDef]) -> web.Application:
    # A span that nobody records costs some 50 µs, half of what a simulated engine takes for an answer.
    middlewares = [answer_errors, trace_requests] if _traces_are_recorded() else [answer_errors]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.get("/health", health), *routes])
    return app


def _traces_are_recorded() -> bool:
    provider = trace.get_tracer_provider()
    return isinstance(provider, TracerProvider) and provider.sampler is not ALWAYS_OFF


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serves `app` while the context is open, and gives its URL; port 0 takes a free one.

    A client that goes away cancels its handler, which is how an engine learns to stop generating.
    """
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def run(service: str, build: Callable[[], web.Application], host: str, port: int, *, log_level: str) -> None:
    """Serves until SIGTERM or SIGINT. `build` runs inside the event loop."""
    telemetry.configure_logging(service, log_level)
    tracing.configure_tracing(service)
    try:
        uvloop.run(_serve(build, host, port))
    finally:
        tracing.shutdown_tracing()


async def _serve(build: Callable[[], web.Application], host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(build(), host, port) as url:
        log.info("listening", url=url)
        await stop.wait()
        log.info("stopping")
