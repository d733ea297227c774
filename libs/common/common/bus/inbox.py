"""Where answers to this process arrive: one subscription for all of them, and a subject for each."""

import asyncio
import math
import uuid
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

from common.bus.frames import Frame, answer_name
from common.bus.protocol import Message
from common.bus.wire import BusDown, Wire
from contracts.topology import Header


class Silent(Exception):
    """Nobody says any more that a question is worked on."""


class Inbox:
    """Asks, and hands each answer to whoever waits for it. `prefix` is where this service may listen."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = f"{prefix}.{uuid.uuid4().hex}."
        self._numbers = count()
        self._waiting: dict[str, _Waiting] = {}
        wire.subscribe(f"{self._prefix}*", self._receive)

    async def ask(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        timeout: float,
        *,
        silence: float = math.inf,
        cancel: str | None = None,
    ) -> Message:
        """The first answer. Who leaves before it, or gives up, says so on the subject `cancel`, if one is named.

        Raises TimeoutError after `timeout` seconds, Silent after `silence` seconds without even a ping, BusDown when
        the question cannot be sent.
        """
        inbox = f"{self._prefix}{next(self._numbers)}"
        waiting = self._waiting[inbox] = _Waiting(timeout, silence)
        try:
            self._wire.publish(subject, data, reply=inbox, headers=headers)
            return await waiting.answer
        except (asyncio.CancelledError, TimeoutError, Silent):
            if cancel is not None:
                with suppress(BusDown):
                    self._wire.publish(cancel, answer_name(inbox).encode())
            raise
        finally:
            waiting.stop()
            del self._waiting[inbox]

    def _receive(self, message: Message) -> None:
        if (waiting := self._waiting.get(message.subject)) is not None:
            waiting.take(message)


class _Waiting:
    """One who waits, at most `timeout` seconds, and at most `silence` of them without a word.

    With a timer of its own: `asyncio.timeout` would cost as much as the rest of the question.
    """

    __slots__ = ("_deadline", "_heard", "_loop", "_silence", "_timer", "answer")

    def __init__(self, timeout: float, silence: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._deadline = self._heard + timeout
        self._silence = silence
        self._timer = self._loop.call_later(min(timeout, silence), self._look)
        self.answer: asyncio.Future[Message] = self._loop.create_future()

    def take(self, message: Message) -> None:
        if message.headers.get(Header.FRAME) == Frame.PING:
            self._heard = self._loop.time()
        elif not self.answer.done():
            self.answer.set_result(message)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self.answer.done():
            return
        if now >= self._deadline:
            self.answer.set_exception(TimeoutError())
        elif now >= self._heard + self._silence:
            self.answer.set_exception(Silent())
        else:
            self._timer = self._loop.call_at(min(self._deadline, self._heard + self._silence), self._look)
