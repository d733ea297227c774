"""Around every request: its id, its trace, its metrics, its line in the log, and an answer whatever happens."""

import time
from functools import cache
from http import HTTPStatus

from aiohttp import ClientError, web
from aiohttp.typedefs import Handler
from opentelemetry.trace import Span, StatusCode

from common.context import Call, calling
from common.telemetry import SECONDS, Counter, Gauge, Histogram, get_logger
from common.tracing import SpanKind, hop
from contracts.base import RefusalCode, Refused
from gateway.edge.noted import PRINCIPAL, STARTED, note_request_id
from gateway.edge.responses import refused
from gateway.errors import invalid_fields
from gateway.routes.table import HOOKS, family_of

REQUESTS = Counter("http_requests_total", "HTTP requests answered", ["method", "route", "status"])
DURATION = Histogram(
    "http_request_seconds", "Time to answer, streams to their end", ["method", "route"], buckets=SECONDS
)
IN_FLIGHT = Gauge("http_requests_in_flight", "HTTP requests being answered now")

_log = get_logger("http")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499


def observed(route: str, endpoint: Handler) -> Handler:
    """`endpoint` with every request counted, traced and logged under `route`; a crash is answered too, without its
    inside.

    Not a middleware of aiohttp's: those make each request find out anew what was known at the start.
    """

    async def observe(request: web.Request) -> web.StreamResponse:
        request_id = note_request_id(request)
        method = request.method if request.method in _METHODS else "OTHER"
        status = _CLIENT_GONE
        started = time.perf_counter()
        IN_FLIGHT.inc()
        with (
            calling(Call(request_id=request_id)),
            hop(f"{method} {route}", SpanKind.SERVER, headers=request.headers) as span,
        ):
            try:
                response = await _answer(request, route, endpoint)
                status = response.status
                return response
            finally:
                # Also when the client went away, which cancels the handler.
                IN_FLIGHT.dec()
                seconds = time.perf_counter() - started
                _answered(method, route, status // 100).inc()
                _duration(method, route).observe(seconds)
                _tell(request, span, method, route, status, seconds)

    return observe


async def _answer(request: web.Request, route: str, endpoint: Handler) -> web.StreamResponse:
    try:
        return await endpoint(request)
    except Refused as refusal:
        return _refuse(request, refusal)
    except web.HTTPException as error:
        return _refuse(request, _at_the_edge(request, error))
    except web.RequestPayloadError:
        return _unreadable(request)
    except (ConnectionError, ClientError) as error:
        _log.info("client_gone", error=repr(error))
        return _break_off(request) or web.Response(status=_CLIENT_GONE)
    except Exception:
        _log.exception("request_crashed", method=request.method, path=_told_path(request, route))
        return _refuse(request, Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged"))


def _refuse(request: web.Request, refusal: Refused) -> web.StreamResponse:
    if (begun := _break_off(request)) is not None:
        _log.warning("answer_broken_off", code=refusal.code.value, error=refusal.message)
        return begun
    return refused(refusal, family_of(request.path, request.method))


def _unreadable(request: web.Request) -> web.StreamResponse:
    """The answer to a body that is damaged on its way: it has no end to be found, so the connection ends with it."""
    request.content.feed_eof()
    wrong = "cannot be read: it is not what Content-Encoding or Transfer-Encoding say"
    response = _refuse(request, invalid_fields([("body", wrong)]))
    response.force_close()
    return response


def _break_off(request: web.Request) -> web.StreamResponse | None:
    """Cuts the connection if an answer has begun, so that a part of it cannot pass for the whole."""
    begun = request.get(STARTED)
    if begun is not None and request.transport is not None:
        request.transport.abort()
    return begun


def _at_the_edge(request: web.Request, error: web.HTTPException) -> Refused:
    """What aiohttp itself refuses, as one of our refusals."""
    match error:
        case web.HTTPNotFound():
            return Refused(RefusalCode.NOT_FOUND, f"There is no {request.path} here", {"path": request.path})
        case web.HTTPMethodNotAllowed():
            return Refused(
                RefusalCode.METHOD_NOT_ALLOWED,
                f"{request.path} does not take {request.method}",
                {"allowed": sorted(error.allowed_methods)},
            )
        case web.HTTPRequestEntityTooLarge():
            return Refused(RefusalCode.TOO_LARGE, "The request is too large")
        case _ if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Refused(RefusalCode.INVALID, error.reason)
        case _:
            return Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged")


@cache
def _answered(method: str, route: str, kind: int) -> Counter:
    return REQUESTS.labels(method, route, f"{kind}xx")


@cache
def _duration(method: str, route: str) -> Histogram:
    return DURATION.labels(method, route)


def _told_path(request: web.Request, route: str) -> str:
    """The path as traces and logs may know it: not the secret in a webhook's."""
    return route if request.path.startswith(HOOKS) else request.path


def _tell(request: web.Request, span: Span, method: str, route: str, status: int, seconds: float) -> None:
    if span.is_recording():
        span.set_attributes(
            {"http.request.method": method, "http.route": route, "url.path": _told_path(request, route)}
        )
        span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
    principal = request.get(PRINCIPAL)
    _log.info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        principal=principal.id if principal is not None else None,
    )
