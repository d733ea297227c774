"""WebSockets that go on for long: opened only from where they may be, and closed with a reason."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import web

from common.context import Principal
from common.telemetry import Counter
from contracts.base import RefusalCode, Refused
from gateway.edge.access import came_with_ticket
from gateway.edge.admission import Admission
from gateway.edge.noted import SESSION
from gateway.watching import UNKNOWN, Closing

_LONGEST_MESSAGE = 4096
"""Bytes that a client may send at once."""
_GOODBYE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 30.0
_TICKET_SECONDS = 3600.0
"""How long somebody may watch who showed a ticket: nothing says when the key behind it is revoked."""

CLOSED = Counter("gateway_sockets_closed_total", "WebSockets that the gateway closed, by the code it gave", ["code"])


def open_socket(request: web.Request, allowed_origins: tuple[str, ...], heartbeat: float) -> web.WebSocketResponse:
    """The socket that a handshake asks for, not prepared yet. Raises `Refused`: FORBIDDEN, INVALID."""
    if SESSION in request:
        _check_origin(request, allowed_origins)
    socket = web.WebSocketResponse(
        heartbeat=heartbeat, timeout=_GOODBYE_SECONDS, max_msg_size=_LONGEST_MESSAGE, compress=False
    )
    if not socket.can_prepare(request):
        raise Refused(RefusalCode.INVALID, "Only WebSocket handshakes are answered here")
    return socket


async def serve(
    request: web.Request,
    socket: web.WebSocketResponse,
    closing: "asyncio.Future[Closing]",
    *,
    sending: Coroutine[Any, Any, Closing | None],
    listening: Coroutine[Any, Any, None],
    knowing: Coroutine[Any, Any, None],
) -> None:
    """Until the client leaves, or there is a reason to close: `closing`, or what `sending` ends with.

    `listening` ends when the client leaves, `knowing` when it is not let in any more.
    """
    sent, unknown = asyncio.create_task(sending), asyncio.create_task(knowing)
    tasks: tuple[asyncio.Task[Any], ...] = (sent, unknown, asyncio.create_task(listening))
    try:
        awaited: set[asyncio.Future[Any]] = {*tasks, closing}
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if sent.done() and (reason := sent.result()) is not None:
            reason.decide(closing)
        if unknown.done():
            UNKNOWN.decide(closing)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if closing.done() and not socket.closed:
        await _close(request, socket, closing.result())


async def until_unknown(admission: Admission, request: web.Request, principal: Principal) -> None:
    """Returns once the caller is not let in any more as who it was."""
    if came_with_ticket(request):
        await asyncio.sleep(_TICKET_SECONDS)
        return
    while await admission.still_knows(request, principal):  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _close(request: web.Request, socket: web.WebSocketResponse, closing: Closing) -> None:
    """Says why, to whoever still reads."""
    CLOSED.labels(int(closing.code)).inc()
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await socket.close(code=closing.code, message=closing.reason.encode())
            return
    if request.transport is not None:
        request.transport.abort()


def _check_origin(request: web.Request, allowed: tuple[str, ...]) -> None:
    """A browser shows its cookie to whatever page of another site asks for it, but says which page that is."""
    origin = request.headers.get("Origin", "")
    if origin not in allowed and origin.partition("://")[2] != request.host:
        raise Refused(RefusalCode.FORBIDDEN, "In a session only the platform's own pages may open this")
