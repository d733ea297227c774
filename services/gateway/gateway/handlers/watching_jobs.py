"""A job watched and steered over a WebSocket, by any number of people: its log is what all of them see.

What somebody does to it is a line of the log like any other, in order with all else, and can be gone back to. An answer
to whoever did it says only that it is kept.
"""

import asyncio
import time
from contextlib import aclosing
from typing import Any, cast

from aiohttp import WSMsgType, web

from common.bus import BusDown
from common.context import Principal, calling, current
from contracts.base import Message, RefusalCode, Refused, Rpc
from contracts.orchestrator import (
    ADJUST_JOB,
    CANCEL_JOB,
    GET_JOB,
    LOG_RECORDED,
    PAUSE_JOB,
    RESUME_JOB,
    GetJob,
    Job,
    LogRecord,
)
from gateway.deps import Deps
from gateway.domain import job_events, keys
from gateway.domain.job_events import Adjust, Command
from gateway.edge.reading import read_request
from gateway.edge.sockets import open_socket, serve, until_unknown
from gateway.limits.rates import refusal as over_limit
from gateway.routes.jobs import WatchJob
from gateway.routes.table import Route
from gateway.run_log import RunLog, job_of
from gateway.watching import BROKEN, UNKNOWN, Closing

_ENGINE = "Orchestrator"
"""Whose lines tell of the job's own state: it may have changed with each."""
_PROGRESS_SECONDS = 10.0
"""How long somebody is left with the progress of before while an agent measures how far it is."""
_STEERED: dict[str, Rpc[GetJob, Any]] = {"pause": PAUSE_JOB, "resume": RESUME_JOB, "cancel": CANCEL_JOB}
_DONE = Closing(1000, "The job has ended")


async def watch_job(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(WatchJob, await read_request(request, route))
    job = await deps.bus.ask(GET_JOB, GetJob(job_id=asked.job_id))
    socket = open_socket(request, deps.settings.allowed_origins, deps.settings.heartbeat_seconds)
    closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
    await socket.prepare(request)
    deps.sockets.add(closing)
    try:
        watching = _Watching(deps, route, socket, job)
        await serve(
            request,
            socket,
            closing,
            sending=watching.send(asked.last_event_id),
            listening=watching.listen(),
            knowing=until_unknown(deps.admission, request, watching.principal),
        )
    finally:
        deps.sockets.discard(closing)
    return socket


class _Watching:
    """One client of one job."""

    def __init__(self, deps: Deps, route: Route, socket: web.WebSocketResponse, job: Job) -> None:
        self._deps = deps
        self._socket = socket
        principal = current().principal
        assert principal is not None  # noqa: S101 - the row has a role
        self.principal: Principal = principal
        self._route = route
        self._job = job
        self._told_progress = 0.0

    async def send(self, after: int) -> Closing | None:
        """Sends what is there and what comes, to the job's end; None when the client is gone."""
        bus, run_id = self._deps.bus, self._job.run_id
        try:
            with self._deps.endings.watching(run_id) as ended:
                log = RunLog(bus, run_id, after, ended, self._deps.settings.heartbeat_seconds)
                told_until = await bus.end_of(LOG_RECORDED)
                job = await job_of(bus, run_id)
                await self._tell_progress(job)
                async with aclosing(log.entries(job)) as entries:
                    async for entry in entries:
                        if entry is None:
                            continue
                        await self._tell(job_events.of_entry(entry))
                        # What was in the log before the client came is in the progress that it was sent first.
                        if entry.sequence > told_until and self._moves(entry.record):
                            await self._tell_progress(await job_of(bus, run_id))
                await self._tell(job_events.of_end(await job_of(bus, run_id)))
        except (Refused, BusDown):
            return BROKEN
        except ConnectionError:
            return None
        return _DONE

    def _moves(self, record: LogRecord) -> bool:
        """Whether the job may be further with this than the client was told."""
        is_due = time.monotonic() - self._told_progress >= _PROGRESS_SECONDS
        return record.agent == _ENGINE or (record.level == "METRIC" and is_due)

    async def _tell_progress(self, job: Job) -> None:
        self._told_progress = time.monotonic()
        await self._tell(job_events.of_progress(job))

    async def listen(self) -> None:
        """Does what the client asks, one after the other, until it leaves."""
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                await self._tell(await self._answer(message.data))

    async def _answer(self, text: str) -> bytes:
        """The acknowledgement of what is asked."""
        fields: dict[str, Any] = {}
        try:
            fields = job_events.fields_of(text)
            command = job_events.command_of(fields)
            principal = await self._admitted()
            with calling(current()._replace(principal=principal)):
                return job_events.accepted(command, await self._do(command))
        except Refused as refusal:
            return job_events.refused(fields, refusal)

    async def _admitted(self) -> Principal:
        """Who asks, as they may by now: a command is a request like any other. Raises `Refused`."""
        try:
            caller = await self._deps.callers.get(self.principal.id)
        except Refused as refusal:
            if refusal.code is RefusalCode.NOT_FOUND:
                raise Refused(RefusalCode.UNAUTHENTICATED, UNKNOWN.reason) from None
            raise
        standing = await self._deps.rates.count(caller, "", self._route)
        if standing is not None and not standing.admitted:
            raise over_limit(standing)
        if not keys.may(caller.principal.role, "member"):
            raise Refused(RefusalCode.FORBIDDEN, "This needs the role member")
        return caller.principal

    async def _do(self, command: Command) -> Message:
        job_id, bus = self._job.job_id, self._deps.bus
        if isinstance(command, Adjust):
            return await bus.ask(ADJUST_JOB, command.of(job_id))
        reply: Message = await bus.ask(_STEERED[command.action], GetJob(job_id=job_id))
        return reply

    async def _tell(self, message: bytes) -> None:
        await self._socket.send_frame(message, WSMsgType.TEXT)
