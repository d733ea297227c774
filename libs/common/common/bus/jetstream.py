"""Reading what JetStream keeps: shared durable consumers for work, and private readers that follow a stream."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from common.telemetry import get_logger
from contracts.base import BodyT, Event
from contracts.topology import Consumer

_log = get_logger("jetstream")
_FOLLOW_BATCH = 256
_FOLLOW_WAIT = 5.0
_INACTIVE = 30.0


@dataclass(frozen=True)
class Delivered(Generic[BodyT]):
    """An event as kept: `sequence` is its place in the stream, `key` the last token of a keyed event's subject."""

    sequence: int
    key: str | None
    body: BodyT
    redelivered: bool = False


@dataclass(frozen=True)
class Pulled(Generic[BodyT]):
    """A delivery from a shared consumer, to be settled: until then it comes again after the consumer's ack_wait."""

    delivered: Delivered[BodyT]
    message: Msg

    async def ack(self) -> None:
        """Done: it never comes again."""
        await self.message.ack()

    async def again(self, after: float = 0.0) -> None:
        """Not now: it comes again, to anyone, after that many seconds."""
        await self.message.nak(delay=after or None)


def decode(event: Event[BodyT], message: Msg) -> Delivered[BodyT]:
    """Raises ValidationError for a body that does not fit the contract."""
    key = message.subject.rsplit(".", 1)[1] if event.keyed else None
    metadata = message.metadata
    return Delivered(
        sequence=metadata.sequence.stream,
        key=key,
        body=event.body.model_validate_json(message.data),
        redelivered=(metadata.num_delivered or 1) > 1,
    )


class Puller(Generic[BodyT]):
    """Pulls from a durable consumer that all replicas of a service share."""

    def __init__(self, context: JetStreamContext, consumer: Consumer[BodyT]) -> None:
        self._context = context
        self._consumer = consumer
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def fetch(self, most: int, timeout: float) -> list[Pulled[BodyT]]:
        """Up to `most` deliveries; none when nothing comes within `timeout` seconds or the bus is away.

        A message that does not fit its contract is logged and settled for good: it would never fit.
        """
        try:
            if self._subscription is None:
                self._subscription = await self._context.pull_subscribe_bind(
                    durable=self._consumer.name, stream=self._consumer.event.stream
                )
            messages = await self._subscription.fetch(most, timeout=timeout)
        except TimeoutError:
            return []
        except NatsError as error:
            if not isinstance(error, asyncio.TimeoutError):
                _log.warning("fetch_failed", consumer=self._consumer.name, error=repr(error))
                await asyncio.sleep(min(timeout, 1.0))
            return []
        return [pulled for message in messages if (pulled := await self._decoded(message)) is not None]

    async def _decoded(self, message: Msg) -> Pulled[BodyT] | None:
        try:
            return Pulled(decode(self._consumer.event, message), message)
        except (ValidationError, json.JSONDecodeError) as error:
            _log.error("message_unreadable", subject=message.subject, error=str(error))
            await message.term()
            return None

    async def close(self) -> None:
        if self._subscription is not None:
            with suppress(NatsError):
                await self._subscription.unsubscribe()


async def acknowledge(pulled: Sequence[Pulled[BodyT]]) -> None:
    for delivery in pulled:
        await delivery.ack()


async def follow(
    client: Client, context: JetStreamContext, event: Event[BodyT], key: str | None, after: int | None
) -> AsyncGenerator[Delivered[BodyT], None]:
    """Every event after sequence `after` (None: only those that come from now on), in order, for ever.

    The reader is a consumer of its own that vanishes with it; if the server forgets it, it is made anew from there.
    """
    subject = event.subject_for(key) if key is not None else event.filter
    while True:
        subscription: JetStreamContext.PullSubscription | None = None
        try:
            subscription = await _private_reader(context, event.stream, subject, after)
            async for message in _messages(subscription):
                delivered = decode(event, message)
                after = delivered.sequence
                yield delivered
        except (TimeoutError, NatsError) as error:
            if client.is_closed:
                return
            _log.info("follow_again", subject=subject, error=repr(error))
            if after is None:
                # Nothing was seen yet and the reader is gone: what comes from now on is all that was promised.
                _log.debug("follow_restarts_at_now", subject=subject)
            await asyncio.sleep(0.25)
        finally:
            if subscription is not None:
                with suppress(NatsError, TimeoutError):
                    await subscription.unsubscribe()


async def _private_reader(
    context: JetStreamContext, stream: str, subject: str, after: int | None
) -> JetStreamContext.PullSubscription:
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.NEW if after is None else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=None if after is None else after + 1,
        inactive_threshold=_INACTIVE,
        mem_storage=True,
    )
    return await context.pull_subscribe(subject, stream=stream, config=config)


async def _messages(subscription: JetStreamContext.PullSubscription) -> AsyncGenerator[Msg, None]:
    while True:
        try:
            messages = await subscription.fetch(_FOLLOW_BATCH, timeout=_FOLLOW_WAIT)
        except TimeoutError:
            # Nothing new, or the consumer is gone: asking for it tells which, and raises in the second case.
            await subscription.consumer_info()
            continue
        for message in messages:
            yield message
