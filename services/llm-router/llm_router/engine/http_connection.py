"""One HTTP/1.1 connection to an engine, as a protocol of asyncio's: it takes one request at a time.

aiohttp's client costs several times as much as all else that the router does for a completion. Parsing is httptools'.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_MOST_UNREAD = 256 * 1024
"""Bytes of an answer that wait to be read before the engine has to wait."""
_MOST_HEADERS = 256
_LONGEST_HEAD = 64 * 1024
"""Bytes in a row that are no body: what comes before it, or behind it."""
_CONTINUE = range(100, 200)


class BrokenOff(ConnectionError):
    """The connection was lost; `begun` says whether a part of the answer had come."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the connection was lost")
        self.begun = begun


class NotHttp(ValueError):
    """What came is not HTTP."""


class Connection(asyncio.Protocol):
    """Send a request, then read `status`, `headers` and the parts of its body until it has `ended`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = HttpResponseParser(self)
        self._waiting: asyncio.Future[None] | None = None
        self._lost = False
        self._forget()

    def _forget(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._keeps_alive = False
        self._failure: Exception | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._bodiless = 0
        self._paused = False
        self._has_body = False
        self._heard_at = 0.0

    @property
    def is_reusable(self) -> bool:
        """Whether it can take another request."""
        return self.ended and self._keeps_alive and not self._lost and not self._parts

    def send(self, request: bytes) -> None:
        self._forget()
        self._transport.write(request)

    async def begin(self) -> None:
        """Waits for status and headers. Raises `BrokenOff`, `NotHttp`, TimeoutError."""
        while not self.status:
            await self._wait()

    async def more(self) -> bytes:
        """The part of the body that comes next; empty at its end. Raises as `begin`."""
        while not self._parts:
            if self.ended:
                return b""
            await self._wait()
        return self.rest()

    def rest(self) -> bytes:
        """The part of the body that is there and was not read yet."""
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._unread = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """At once: the engine notices that nobody listens any more."""
        self._lost = True
        self._transport.abort()

    @contextmanager
    def bounded(self, total: float | None, silence: float | None) -> Iterator[None]:
        """Ends the answer by TimeoutError: after `total` seconds, and once its body has begun after `silence` seconds
        without a byte. Until then it is being thought of, which may take longer.
        """
        deadline = math.inf if total is None else self._loop.time() + total
        patience = math.inf if silence is None else silence
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            now = self._loop.time()
            end = min(deadline, (self._heard_at if self._has_body else now) + patience)
            if end <= now:
                self._fail(TimeoutError())
            else:
                timer = self._loop.call_at(end, look)

        timer = self._loop.call_at(min(deadline, self._loop.time() + patience), look)
        try:
            yield
        finally:
            timer.cancel()

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _fail(self, failure: Exception) -> None:
        if self._failure is None and not self.ended:
            self._failure = failure
        if self._waiting is not None and not self._waiting.done() and self._failure is not None:
            self._waiting.set_exception(self._failure)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.ended:
            # Nobody asked for it.
            self.close()
            return
        self._heard_at = self._loop.time()
        self._bodiless += len(data)
        try:
            self._parser.feed_data(data)
            if self._bodiless > _LONGEST_HEAD:
                raise NotHttp("a head that never ends")
        except (HttpParserError, HttpParserUpgrade, NotHttp) as error:
            self._fail(NotHttp(str(error)))
            self.close()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        left, self._lost = self._lost, True
        if error is None and not left and self.status and not self._is_measured():
            # Without a length the end of the connection is the end of the answer, if it was not we who ended it.
            self.ended = True
            self._wake()
        else:
            self._fail(BrokenOff(begun=bool(self.status)))

    def _is_measured(self) -> bool:
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    # What the parser calls

    def on_message_begin(self) -> None:
        if self.ended:
            raise NotHttp("more than one answer")
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= _MOST_HEADERS:
            raise NotHttp("too many headers")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # Of what only says that the answer will come, nothing is kept.
        self.status = 0 if status in _CONTINUE else status

    def on_body(self, body: bytes) -> None:
        self._bodiless = 0
        self._has_body = True
        self._parts.append(body)
        self._unread += len(body)
        if self._unread > _MOST_UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status:
            self.ended = True
            self._keeps_alive = self._parser.should_keep_alive()
