"""Server-sent events: silence filled, where a client goes on from, and let go of at the end.

A proxy gives up a connection on which nothing comes for a minute, and a client soon after. So whoever has nothing to
tell for `heartbeat_seconds` sends a comment, which clients leave out.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol, cast

from aiohttp import web
from pydantic import BaseModel

from contracts.base import Refused
from contracts.router import ChatDelta, ChatReply
from gateway.errors import invalid_fields

STILL_HERE = b": still here\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
_MOST_DIGITS = 18


def last_event_id(request: web.Request) -> int:
    """The id of the event that the client has seen last, 0 for none. Raises `Refused(INVALID)`."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise invalid_fields([("Last-Event-ID", "must be the id of an event of this stream")])
    return int(text)


class EventStream(web.StreamResponse):
    """An answer of events, which nothing on the way may keep or hold back, nor give up: after `heartbeat` seconds of
    silence there has to be a sign of life.
    """

    def __init__(self, heartbeat: float) -> None:
        super().__init__(headers=_HEADERS)
        self._heartbeat = heartbeat
        self._written = time.monotonic()

    @property
    def is_too_silent(self) -> bool:
        return time.monotonic() - self._written >= self._heartbeat

    def write(self, data: bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        self._written = time.monotonic()
        return super().write(data)

    async def fill_silence(self) -> None:
        await self.write(STILL_HERE)

    async def send(self, event_id: int, data: bytes) -> None:
        """An event whose `data` is one line."""
        await self.write(b"id: %d\ndata: %s\n\n" % (event_id, data))

    async def end(self, data: BaseModel) -> None:
        """The last event, which says that the client need not come back."""
        await self.write_eof(f"event: end\ndata: {data.model_dump_json()}\n\n".encode())


@asynccontextmanager
async def streaming(
    request: web.Request, following: set["asyncio.Task[object]"], title: str, heartbeat: float
) -> AsyncIterator[EventStream]:
    """Begins a stream that goes on for long, whose task is one of `following` meanwhile."""
    stream = EventStream(heartbeat)
    await stream.prepare(request)
    task = cast("asyncio.Task[object]", asyncio.current_task())
    following.add(task)
    try:
        await stream.write(b": " + title.encode() + b"\nretry: 2000\n\n")
        yield stream
    finally:
        following.discard(task)


class Telling(Protocol):
    """How an API tells of one answer of a model while it is made, in bytes of events."""

    def opening(self) -> bytes:
        """What comes before all else."""

    def pieces(self, pieces: list[ChatDelta]) -> bytes:
        """Nothing where the API has no words for any of them."""

    def ending(self, reply: ChatReply) -> bytes: ...

    def failure(self, refusal: Refused) -> bytes:
        """The end of an answer that broke off, which must not look finished."""


async def tell_answer(
    request: web.Request,
    batches: AsyncGenerator[list[ChatDelta] | ChatReply, None],
    telling: Telling,
    heartbeat: float,
) -> web.StreamResponse:
    """Tells of an answer as it comes; what came together is written together.

    The head leaves with the first piece, so that what is refused before has a status of its own. Where that takes
    longer than `heartbeat` seconds (a model is loaded, requests wait in line) it leaves without, and a refusal is told
    like one half-way. Raises `Refused`. When the client goes away this is cancelled, which stops the engine's work.
    """
    answer = EventStream(heartbeat)
    async with aclosing(batches):
        batch = await anext(batches)
        while batch == [] and not answer.is_too_silent:
            batch = await anext(batches)
        await answer.prepare(request)
        opening = telling.opening()
        try:
            while isinstance(batch, list):
                if batch and (told := opening + telling.pieces(batch)):
                    await answer.write(told)
                    opening = b""
                elif answer.is_too_silent:
                    await answer.fill_silence()
                batch = await anext(batches)
            await answer.write_eof(opening + telling.ending(batch))
        except Refused as refusal:
            await answer.write_eof(opening + telling.failure(refusal))
    return answer
