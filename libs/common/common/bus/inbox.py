"""Where answers to this process arrive: one subscription for all of them, and a subject for each."""

import asyncio
import uuid
from collections.abc import Mapping
from itertools import count

from common.bus.protocol import Message
from common.bus.wire import Wire


class Inbox:
    """Asks, and hands each answer to whoever waits for it. `prefix` is where this service may listen."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = f"{prefix}.{uuid.uuid4().hex}."
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        wire.subscribe(f"{self._prefix}*", self._receive)

    async def ask(self, subject: str, data: bytes, headers: Mapping[str, str], timeout: float) -> Message:
        """The first answer. Raises TimeoutError after `timeout` seconds, BusDown when it cannot be sent."""
        loop = asyncio.get_running_loop()
        inbox = f"{self._prefix}{next(self._numbers)}"
        answer: asyncio.Future[Message] = loop.create_future()
        # `asyncio.timeout` would cost as much as the rest of the question.
        timer = loop.call_later(timeout, _expire, answer)
        self._waiting[inbox] = answer
        try:
            self._wire.publish(subject, data, reply=inbox, headers=headers)
            return await answer
        finally:
            timer.cancel()
            del self._waiting[inbox]

    def _receive(self, message: Message) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)


def _expire(answer: "asyncio.Future[Message]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
