"""Server-sent events that go on for long: where a client goes on from, silence filled, and let go of at the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web
from pydantic import BaseModel

from gateway.edge.responses import event_stream
from gateway.errors import invalid_fields

_MOST_DIGITS = 18


def last_event_id(request: web.Request) -> int:
    """The id of the event that the client has seen last, 0 for none. Raises `Refused(INVALID)`."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise invalid_fields([("Last-Event-ID", "must be the id of an event of this stream")])
    return int(text)


class EventStream:
    """An answer that has begun, and goes on event by event."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self._written = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since something was written."""
        return time.monotonic() - self._written

    async def send(self, event_id: int, data: bytes) -> None:
        """An event whose `data` is one line."""
        await self._write(b"id: %d\ndata: %s\n\n" % (event_id, data))

    async def fill_silence(self) -> None:
        await self._write(b": still here\n\n")

    async def _write(self, data: bytes) -> None:
        self._written = time.monotonic()
        await self.response.write(data)

    async def end(self, data: BaseModel) -> None:
        """The last event, which says that the client need not come back."""
        await self.response.write(f"event: end\ndata: {data.model_dump_json()}\n\n".encode())
        await self.response.write_eof()


@asynccontextmanager
async def streaming(
    request: web.Request, following: set["asyncio.Task[object]"], title: str
) -> AsyncIterator[EventStream]:
    """Begins a stream, whose task is one of `following` meanwhile."""
    response = event_stream()
    await response.prepare(request)
    task = cast("asyncio.Task[object]", asyncio.current_task())
    following.add(task)
    try:
        await response.write(b": " + title.encode() + b"\nretry: 2000\n\n")
        yield EventStream(response)
    finally:
        following.discard(task)
