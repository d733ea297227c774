"""A job watched and steered over a WebSocket, by any number of people: its log is what all of them see.

What somebody does to it is a line of the log like any other, in order with all else, and can be gone back to. An answer
to whoever did it says only that it is kept.
"""

import asyncio
from contextlib import aclosing
from typing import Any, cast

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from common.bus import BusDown
from common.context import Principal, current
from contracts.base import Message, RefusalCode, Refused, Rpc
from contracts.orchestrator import ADJUST_JOB, CANCEL_JOB, GET_JOB, PAUSE_JOB, RESUME_JOB, GetJob, Job
from gateway.deps import Deps
from gateway.domain import job_events, keys
from gateway.domain.job_events import COMMAND, Adjust, Steer
from gateway.edge.reading import read_request
from gateway.edge.sockets import close, open_socket, until_unknown
from gateway.errors import invalid_input
from gateway.limits import Caller
from gateway.limits.rates import refusal as over_limit
from gateway.routes.jobs import WatchJob
from gateway.routes.table import Route
from gateway.run_log import RunLog, job_of
from gateway.watching import BROKEN, UNKNOWN, Closing

_ENGINE = "Orchestrator"
"""Whose lines tell of the job's own state: it may have changed with each."""
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
        await _serve(_Watching(deps, route, socket, job), request, asked.last_event_id, closing)
    finally:
        deps.sockets.discard(closing)
    return socket


async def _serve(watching: "_Watching", request: web.Request, after: int, closing: "asyncio.Future[Closing]") -> None:
    """Until the client leaves, or there is a reason to close."""
    sending = asyncio.create_task(watching.send(after))
    listening = asyncio.create_task(watching.listen())
    knowing = asyncio.create_task(until_unknown(watching.deps.admission, request, watching.principal))
    tasks = (sending, listening, knowing)
    try:
        awaited: set[asyncio.Future[Any]] = {*tasks, closing}
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and (reason := sending.result()) is not None:
            reason.decide(closing)
        if knowing.done():
            UNKNOWN.decide(closing)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if closing.done() and not watching.socket.closed:
        await close(request, watching.socket, closing.result())


class _Watching:
    """One client of one job."""

    def __init__(self, deps: Deps, route: Route, socket: web.WebSocketResponse, job: Job) -> None:
        self.deps = deps
        self.socket = socket
        principal = current().principal
        assert principal is not None  # noqa: S101 - the row has a role
        self.principal: Principal = principal
        self._route = route
        self._job = job

    async def send(self, after: int) -> Closing | None:
        """Sends what is there and what comes, to the job's end; None when the client is gone."""
        bus, run_id = self.deps.bus, self._job.run_id
        try:
            with self.deps.endings.watching(run_id) as ended:
                log = RunLog(bus, run_id, after, ended, self.deps.settings.heartbeat_seconds)
                await self._tell(job_events.of_progress(self._job))
                async with aclosing(log.entries(self._job)) as entries:
                    async for entry in entries:
                        if entry is None:
                            continue
                        await self._tell(job_events.of_entry(entry))
                        if entry.record.agent == _ENGINE:
                            await self._tell(job_events.of_progress(await job_of(bus, run_id)))
                await self._tell(job_events.of_end(await job_of(bus, run_id)))
        except (Refused, BusDown):
            return BROKEN
        except ConnectionError:
            return None
        return _DONE

    async def listen(self) -> None:
        """Does what the client asks, one after the other, until it leaves."""
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                await self._tell(await self._answer(message.data))

    async def _answer(self, text: str) -> bytes:
        """The acknowledgement of what is asked."""
        request_id = None
        try:
            command = _read(text)
            request_id = command.request_id
            await self._count()
            return job_events.accepted(command, await self._do(command))
        except Refused as refusal:
            return job_events.refused(request_id, refusal)

    async def _count(self) -> None:
        """A command is a request like any other. Raises `Refused`."""
        if not keys.may(self.principal.role, "member"):
            raise Refused(RefusalCode.FORBIDDEN, "This needs the role member")
        standing = await self.deps.rates.count(Caller(self.principal), "", self._route)
        if standing is not None and not standing.admitted:
            raise over_limit(standing)

    async def _do(self, command: Steer | Adjust) -> Message:
        job_id, bus = self._job.job_id, self.deps.bus
        if isinstance(command, Adjust):
            return await bus.ask(ADJUST_JOB, command.of(job_id))
        reply: Message = await bus.ask(_STEERED[command.action], GetJob(job_id=job_id))
        return reply

    async def _tell(self, message: bytes) -> None:
        await self.socket.send_frame(message, WSMsgType.TEXT)


def _read(text: str) -> Steer | Adjust:
    """Raises `Refused(INVALID)`."""
    try:
        return COMMAND.validate_json(text)
    except ValidationError as error:
        raise invalid_input(error) from None
