"""Telling JetStream without waiting for it: what is posted leaves before whatever is sent next."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from itertools import count

from common.bus.frames import NO_RESPONDERS, STATUS, room
from common.bus.protocol import Message, publish_frame
from common.bus.wire import BusDown, Wire


class Poster:
    """Posts on one connection, and hands each acknowledgement to the future of its message."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = f"{prefix}.{uuid.uuid4().hex}."
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        wire.subscribe(f"{self._prefix}*", self._receive)

    def post(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> "asyncio.Future[None]":
        """The future fails with BusDown when JetStream did not take the message.

        An acknowledgement can get lost: whoever waits for the future bounds the wait, and cancels it at the end.
        Raises BusDown when the message cannot even be sent.
        """
        inbox = self._inbox()
        self._wire.publish(subject, payload, reply=inbox, headers=headers)
        return self._expect(inbox)

    def post_late(
        self, subject: str, payload: Callable[[], bytes], headers: Mapping[str, str]
    ) -> "asyncio.Future[None]":
        """As `post`, with a payload that is made when the message is written. One that is too large is not sent."""
        inbox = self._inbox()

        def frame() -> bytes:
            data = payload()
            if len(data) <= room(self._wire.max_payload):
                return publish_frame(subject, data, inbox, headers)
            if not taken.done():
                taken.set_exception(BusDown(f"JetStream will not take a message of {len(data)} bytes"))
            return b""

        self._wire.send_late(frame)
        taken = self._expect(inbox)
        return taken

    def _inbox(self) -> str:
        return f"{self._prefix}{next(self._numbers)}"

    def _expect(self, inbox: str) -> "asyncio.Future[None]":
        """Called once the message is on its way, which leaves at the end of this turn: so nothing waits for others."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[inbox] = taken
        taken.add_done_callback(lambda _: self._waiting.pop(inbox, None))
        return taken

    def _receive(self, message: Message) -> None:
        taken = self._waiting.get(message.subject)
        if taken is None or taken.done():
            return
        # An answer without a body says in its header that no stream listens; one that names an error was refused.
        if message.headers.get(STATUS) == NO_RESPONDERS or b'"error"' in message.data:
            taken.set_exception(BusDown(f"JetStream did not take a message: {message.data!r}"))
        else:
            taken.set_result(None)
