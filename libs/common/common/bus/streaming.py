"""Streams over the bus, at both ends: chunks that are there together travel in one message.

A message without a header is a JSON list of chunks. The last one is marked, and says how many chunks there were.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, cast

from common.bus.frames import (
    CHUNKS,
    Frame,
    answer_name,
    decode_chunks,
    encode,
    encode_chunks,
    refusal_in,
    room,
    unavailable,
)
from common.bus.protocol import Message
from common.bus.wire import BusDown, Wire
from common.telemetry import get_logger
from contracts.base import BrokenOff, ChunkT, FinalT, RefusalCode, Refused, RequestT, Stream
from contracts.topology import Header, cancel_subject

_log = get_logger("bus")
SILENCE_SECONDS = 7.0
GATHER_SECONDS = 0.005
"""Less than a person can see, and than an engine needs for a token of one answer."""


class Reading(Generic[RequestT, ChunkT, FinalT]):
    """A stream at the end that asked for it, whose answers arrive at `inbox`. Leaving it early stops the work.

    Its first content may take `patience` seconds, and from then on the contract's `timeout` bounds each gap.
    """

    def __init__(self, wire: Wire, stream: Stream[RequestT, ChunkT, FinalT], inbox: str, patience: float) -> None:
        self.ended = False
        self._wire = wire
        self._stream = stream
        self._inbox = inbox
        self._frames: deque[Message] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._chunks = 0
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._content_by = self._heard + patience

    def __enter__(self) -> Self:
        # A subscription of its own: once it is gone the server says so to whoever still sends to it.
        self._subscription = self._wire.subscribe(self._inbox, self._receive)
        self._timer = self._loop.call_later(SILENCE_SECONDS, self._look)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._wire.unsubscribe(self._subscription)
        if not self.ended:
            with suppress(BusDown):
                self._wire.publish(cancel_subject(self._stream), answer_name(self._inbox).encode())

    def ask(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Raises `Refused(UNAVAILABLE)` when it cannot be sent."""
        try:
            self._wire.publish(self._stream.subject, data, reply=self._inbox, headers=headers)
        except BusDown as error:
            _log.warning("ask_failed", subject=self._stream.subject, error=str(error))
            raise unavailable(self._stream.owner) from None

    async def next(self) -> Message:
        """What comes next. Raises `Refused(UNAVAILABLE)` when the server does not even say that it is still there."""
        if not self._frames:
            self._waiting = self._loop.create_future()
            await self._waiting
        return self._frames.popleft()

    def _receive(self, message: Message) -> None:
        self._heard = self._loop.time()
        self._frames.append(message)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _look(self) -> None:
        end = self._heard + SILENCE_SECONDS
        if self._loop.time() < end:
            self._timer = self._loop.call_at(end, self._look)
        elif self._waiting is not None and not self._waiting.done():
            message = f"The {self._stream.owner} stopped answering half-way"
            self._waiting.set_exception(BrokenOff(message))
        else:
            self._timer = self._loop.call_later(SILENCE_SECONDS, self._look)

    def take(self, message: Message) -> list[ChunkT] | FinalT:
        """The content of a message, and of chunks all that are there by now: none where it is a ping.

        Raises `Refused`.
        """
        kind = message.headers.get(Header.FRAME)
        if kind is None:
            chunks = decode_chunks(self._stream.chunk, message.data)
            while self._frames and not self._frames[0].headers:
                chunks += decode_chunks(self._stream.chunk, self._frames.popleft().data)
            self._chunks += len(chunks)
            self._content_by = self._loop.time() + self._stream.timeout
            return chunks
        if kind == Frame.PING:
            if self._loop.time() > self._content_by:
                raise Refused(RefusalCode.TIMEOUT, f"The {self._stream.owner} sent nothing for too long")
            return []
        self.ended = True
        if (refusal := refusal_in(message.headers, message.data)) is not None:
            raise refusal
        if self._chunks != int(message.headers.get(CHUNKS, self._chunks)):
            raise BrokenOff(f"A part of the {self._stream.owner}'s answer was lost")
        return self._stream.final.model_validate_json(message.data)


class Writing(Generic[RequestT, ChunkT, FinalT]):
    """A stream at the end that answers it. A chunk that comes after a pause leaves at once, and what comes faster than
    every `GATHER_SECONDS` travels together: each message costs four processes more than all its chunks.
    """

    def __init__(self, wire: Wire, stream: Stream[RequestT, ChunkT, FinalT], inbox: str, lost: str) -> None:
        self._wire = wire
        self._stream = stream
        self._inbox = inbox
        self._lost = lost
        """Where the server says that nobody listens any more."""
        self._waiting: list[ChunkT] = []
        self._next_at = 0.0
        self._sent = 0
        self._failure: Exception | None = None
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        # What came before a failure is told before it; who cancelled wants nothing more.
        if error is None or isinstance(error, Exception):
            self._send_waiting()
        self._waiting.clear()

    def add(self, item: ChunkT | list[ChunkT] | FinalT) -> None:
        """Sends chunks soon, or the final message now. Raises `Refused(TOO_LARGE)`, BusDown."""
        if self._failure is not None:
            raise self._failure
        if isinstance(item, list):
            self._add_chunks(item)
        elif isinstance(item, self._stream.final):
            self._send_waiting()
            headers = {Header.FRAME.value: Frame.FINAL.value, CHUNKS: str(self._sent)}
            self._wire.publish(self._inbox, self._fitting(encode(item)), reply=self._lost, headers=headers)
        else:
            self._add_chunks([cast(ChunkT, item)])

    def _add_chunks(self, chunks: list[ChunkT]) -> None:
        if not self._waiting:
            # In the past: at the end of this turn of the loop.
            self._loop.call_at(self._next_at, self._send_soon)
        self._waiting += chunks

    def _send_soon(self) -> None:
        try:
            self._send_waiting()
        except Exception as failure:
            self._failure = failure

    def _send_waiting(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._next_at = self._loop.time() + GATHER_SECONDS
            self._send(waiting)

    def _send(self, chunks: list[ChunkT]) -> None:
        data = encode_chunks(self._stream.chunk, chunks)
        if len(data) > room(self._wire.max_payload) and len(chunks) > 1:
            half = len(chunks) // 2
            self._send(chunks[:half])
            self._send(chunks[half:])
            return
        self._wire.publish(self._inbox, self._fitting(data), reply=self._lost)
        self._sent += len(chunks)

    def _fitting(self, data: bytes) -> bytes:
        if len(data) > room(self._wire.max_payload):
            raise Refused(RefusalCode.TOO_LARGE, "The answer is too large to be sent at once")
        return data
