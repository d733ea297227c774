"""Telling JetStream without waiting for it: what is posted leaves before whatever is sent next."""

import asyncio
from collections.abc import Mapping
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from common.bus.connection import BusDown
from common.bus.frames import NO_RESPONDERS, STATUS


class Poster:
    """Posts on one connection, and hands each acknowledgement to the future of its message."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._subscribing: asyncio.Task[None] | None = None

    async def post(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> "asyncio.Future[None]":
        """Returns once the message is on its way; the future fails with BusDown when JetStream did not take it.

        An acknowledgement can get lost: whoever waits for the future bounds the wait, and cancels it at the end.
        Raises BusDown when the message cannot even be sent.
        """
        await self._listen()
        number = str(next(self._numbers))
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = taken
        taken.add_done_callback(lambda _: self._waiting.pop(number, None))
        try:
            await self._client.publish(subject, payload, reply=f"{self._inbox}.{number}", headers=dict(headers))
        except (NatsError, OSError) as error:
            taken.cancel()
            raise BusDown(f"A message could not be sent: {error!r}") from error
        return taken

    async def _listen(self) -> None:
        """Subscribes to the acknowledgements, once."""
        if self._subscribing is None:
            self._subscribing = asyncio.create_task(self._subscribe())
        if self._subscribing.done() and self._subscribing.exception() is None:
            return
        try:
            await asyncio.shield(self._subscribing)
        except (NatsError, OSError) as error:
            self._subscribing = None
            raise BusDown(f"Acknowledgements cannot be listened to: {error!r}") from error

    async def _subscribe(self) -> None:
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_answer, pending_msgs_limit=-1)

    async def _on_answer(self, message: Msg) -> None:
        taken = self._waiting.get(message.subject.rsplit(".", 1)[1])
        if taken is None or taken.done():
            return
        # An answer without a body says in its header that no stream listens; one that names an error was refused.
        if (message.headers or {}).get(STATUS) == NO_RESPONDERS or b'"error"' in message.data:
            taken.set_exception(BusDown(f"JetStream did not take a message: {message.data!r}"))
        else:
            taken.set_result(None)
