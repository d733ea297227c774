"""Telling JetStream without waiting for it: what is posted leaves before whatever is sent next."""

import asyncio
import uuid
from collections.abc import Mapping
from itertools import count

from common.bus.frames import NO_RESPONDERS, STATUS
from common.bus.protocol import Message
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
        inbox = f"{self._prefix}{next(self._numbers)}"
        self._wire.publish(subject, payload, reply=inbox, headers=headers)
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
