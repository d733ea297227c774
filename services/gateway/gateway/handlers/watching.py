"""Those who watch runs of workflows: over `/ws` all of theirs, or one as server-sent events. And their tickets."""

import asyncio
from contextlib import aclosing
from functools import partial
from typing import cast

from aiohttp import WSMsgType, web

from common.bus import Forgotten
from common.context import Principal, current
from contracts.base import RefusalCode, Refused
from contracts.run_events import WATCH_RUN, WatchedRun
from contracts.workflow_runs import GetWorkflowRun
from gateway.deps import Deps
from gateway.domain.run_events import FollowRun, IssuedTicket, RunEnd, Scope, Sent, WatchRuns
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.edge.sockets import open_socket, serve, until_unknown
from gateway.edge.streams import EventStream, last_event_id, streaming
from gateway.routes.table import Route
from gateway.watching import BROKEN, FORGOTTEN, SLOW, Closing, Watcher

_SETTLED_SECONDS = 60.0
"""So long after a run's end all that it told is in the stream, or not kept any more."""


async def issue_ticket(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    await read_request(request, route)
    ticket = await deps.tickets.issue(_principal())
    return respond(route, IssuedTicket(ticket=ticket, expires_in=deps.tickets.seconds))


# WebSockets


async def watch_runs(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(WatchRuns, await read_request(request, route))
    socket = open_socket(request, deps.settings.allowed_origins, deps.settings.heartbeat_seconds)
    if asked.run_id is not None:
        await _run(deps, asked.run_id)
    closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
    async with deps.run_events.watching(
        _scope(asked.run_id), _principal().id, partial(SLOW.decide, closing)
    ) as watcher:
        await socket.prepare(request)
        deps.sockets.add(closing)
        try:
            await serve(
                request,
                socket,
                closing,
                sending=_send(socket, watcher, asked.last_event_id),
                listening=_listen(socket),
                knowing=until_unknown(deps.admission, request, _principal()),
            )
        finally:
            deps.sockets.discard(closing)
    return socket


async def _send(socket: web.WebSocketResponse, watcher: Watcher, after: int | None) -> Closing | None:
    """Sends until there is a reason not to; None when the client is gone."""

    async def send(message: Sent) -> None:
        await socket.send_frame(message.text, WSMsgType.TEXT)

    try:
        if after is not None:
            async with aclosing(watcher.missed(after)) as messages:
                async for message in messages:
                    await send(message)
        while True:
            if (upcoming := await watcher.next()) is not None:
                await send(upcoming)
    except Forgotten:
        return FORGOTTEN
    except Refused:
        return BROKEN
    except ConnectionError:
        return None


async def _listen(socket: web.WebSocketResponse) -> None:
    """Until the client leaves. What it says is not heeded."""
    async for _ in socket:
        pass


# Server-sent events


async def follow_run(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    run_id = cast(FollowRun, await read_request(request, route)).run_id
    after = last_event_id(request)
    await _run(deps, run_id)

    def cut() -> None:
        if request.transport is not None:
            request.transport.abort()

    async with (
        deps.run_events.watching(_scope(run_id), _principal().id, cut) as watcher,
        streaming(request, deps.following, f"the events of run {run_id}", deps.settings.heartbeat_seconds) as stream,
    ):
        if not await _kept(watcher, stream, after):
            await _live(deps, run_id, watcher, stream)
        run = await _run_or_none(deps, run_id)
        await stream.end(RunEnd(run_id=run_id, status=None if run is None else run.status))
    return stream


async def _kept(watcher: Watcher, stream: EventStream, after: int) -> bool:
    """What is kept of the run, to whoever has seen it until `after`; whether its last message is among it."""
    async with aclosing(watcher.missed(0)) as messages:
        async for message in messages:
            if message.id > after:
                await stream.send(message.id, message.text)
            if message.is_last:
                return True
    return False


async def _live(deps: Deps, run_id: int, watcher: Watcher, stream: EventStream) -> None:
    """What comes, to the last message, or until there is nothing to wait for."""
    run = await _run_or_none(deps, run_id)
    while run is not None and (run.seconds_since_end or 0) < _SETTLED_SECONDS:
        message = await watcher.next(deps.settings.heartbeat_seconds)
        if message is None:
            await stream.fill_silence()
            run = await _run_or_none(deps, run_id)
            continue
        await stream.send(message.id, message.text)
        if message.is_last:
            return


async def _run(deps: Deps, run_id: int) -> WatchedRun:
    """Raises `Refused(NOT_FOUND)` for a run that is not there, or not the caller's to watch."""
    return await deps.bus.ask(WATCH_RUN, GetWorkflowRun(run_id=run_id))


async def _run_or_none(deps: Deps, run_id: int) -> WatchedRun | None:
    try:
        return await _run(deps, run_id)
    except Refused as refusal:
        if refusal.code is RefusalCode.NOT_FOUND:
            return None
        raise


def _scope(run_id: int | None) -> Scope:
    principal = _principal()
    return Scope(None if principal.role == "admin" else principal.id, run_id)


def _principal() -> Principal:
    principal = current().principal
    assert principal is not None  # noqa: S101 - the rows have a role
    return principal
