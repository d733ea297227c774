"""Reading what JetStream keeps: shared durable consumers for work, and private readers that follow a stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from common.telemetry import Gauge, get_logger
from contracts.base import BodyT, Event, Refused
from contracts.topology import Consumer

PENDING = Gauge("jetstream_consumer_pending", "Messages that a shared consumer has yet to hand out", ["consumer"])

_log = get_logger("jetstream")
_FOLLOW_BATCH = 256
_FOLLOW_WAIT = 5.0
_INACTIVE = 30.0
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


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

    @property
    def attempt(self) -> int:
        """How often it has come, this time included."""
        return self.message.metadata.num_delivered or 1

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
            messages = await _fetch(self._subscription, most, timeout)
        except TimeoutError:
            PENDING.labels(self._consumer.name).set(0)
            return []
        except NatsError as error:
            _log.warning("fetch_failed", consumer=self._consumer.name, error=repr(error))
            await asyncio.sleep(min(timeout, 1.0))
            return []
        if messages:
            PENDING.labels(self._consumer.name).set(messages[-1].metadata.num_pending)
        return [pulled for message in messages if (pulled := await self._decoded(message)) is not None]

    async def _decoded(self, message: Msg) -> Pulled[BodyT] | None:
        try:
            return Pulled(decode(self._consumer.event, message), message)
        except ValidationError as error:
            _log.error("message_unreadable", subject=message.subject, error=str(error))
            await message.term()
            return None

    async def close(self) -> None:
        if self._subscription is not None:
            with suppress(NatsError):
                await self._subscription.unsubscribe()


async def settle(
    consumer: str, pulled: Sequence[Pulled[BodyT]], handle: Callable[[list[Delivered[BodyT]]], Awaitable[None]]
) -> None:
    """Hands a batch on, and acknowledges it. One that fails is halved until what is at fault stands alone.

    That comes again after a pause that grows, for as long as the stream keeps it, while all others go on.
    """
    try:
        await handle([delivery.delivered for delivery in pulled])
    except Refused as refusal:
        # Nothing is wrong with the messages: a part that the handler needs is away.
        _log.warning("consumer_waits", consumer=consumer, error=refusal.message)
        for delivery in pulled:
            await delivery.again(after=_PAUSE)
        await asyncio.sleep(_PAUSE / 2)
    except Exception as error:
        if len(pulled) > 1:
            half = len(pulled) // 2
            await settle(consumer, pulled[:half], handle)
            await settle(consumer, pulled[half:], handle)
            return
        (delivery,) = pulled
        _log.warning("message_not_handled", consumer=consumer, attempt=delivery.attempt, error=repr(error))
        await delivery.again(after=min(_PAUSE * 2.0 ** min(delivery.attempt - 1, 10), _LONGEST_PAUSE))
    else:
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
            if after is None:
                # From here on there is a place to go on from, also if the reader is gone before it has seen anything.
                after = await _place(subscription)
            async for message in _messages(subscription):
                after = message.metadata.sequence.stream
                try:
                    delivered = decode(event, message)
                except ValidationError as error:
                    _log.error("message_unreadable", subject=message.subject, error=str(error))
                else:
                    yield delivered
        except (TimeoutError, NatsError) as error:
            if client.is_closed:
                return
            _log.info("follow_again", subject=subject, error=repr(error))
            await asyncio.sleep(0.25)
        finally:
            if subscription is not None:
                with suppress(NatsError, TimeoutError):
                    await subscription.unsubscribe()


class Forgotten(Exception):
    """The stream no longer keeps what came after that place, or never was there."""


async def replay(
    context: JetStreamContext, event: Event[BodyT], key: str | None, after: int
) -> AsyncGenerator[Delivered[BodyT], None]:
    """Every kept event after sequence `after`, in order, up to the last that there is when it has been read.

    Raises Forgotten when `after` (but 0) is before what the stream keeps or after its end, TimeoutError, NatsError.
    """
    subject = event.subject_for(key) if key is not None else event.filter
    subscription = await _private_reader(context, event.stream, subject, after)
    try:
        info = await subscription.consumer_info()
        pending, place = info.num_pending or 0, None if info.delivered is None else info.delivered.stream_seq
        if after and (place != after or (not pending and after > await end_of(context, event))):
            raise Forgotten(f"{event.stream} cannot be read on from {after}")
        while pending:
            for message in await _fetch(subscription, _FOLLOW_BATCH, _FOLLOW_WAIT):
                pending = message.metadata.num_pending
                try:
                    delivered = decode(event, message)
                except ValidationError as error:
                    _log.error("message_unreadable", subject=message.subject, error=str(error))
                else:
                    yield delivered
    finally:
        with suppress(NatsError, TimeoutError):
            await subscription.unsubscribe()


async def end_of(context: JetStreamContext, event: Event[BodyT]) -> int:
    """The place behind the last message of the event's stream. Raises TimeoutError, NatsError."""
    return await _place_of_reader(context, event, None)


async def kept_after(context: JetStreamContext, event: Event[BodyT], after: int) -> int:
    """The place behind which the event's stream keeps all: `after`, or a later one where what came then is gone.

    Raises TimeoutError, NatsError.
    """
    return max(after, await _place_of_reader(context, event, after))


async def _place_of_reader(context: JetStreamContext, event: Event[BodyT], after: int | None) -> int:
    subscription = await _private_reader(context, event.stream, event.filter, after)
    try:
        return await _place(subscription) or 0
    finally:
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


async def _place(subscription: JetStreamContext.PullSubscription) -> int | None:
    """The sequence right before the first that a reader which has read nothing will see."""
    delivered = (await subscription.consumer_info()).delivered
    return None if delivered is None else delivered.stream_seq


async def _fetch(subscription: JetStreamContext.PullSubscription, most: int, timeout: float) -> list[Msg]:
    """As the subscription's own, but a cancellation always ends it.

    nats-py waits with `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes with a message.
    """
    try:
        return await subscription.fetch(most, timeout=timeout)
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


async def _messages(subscription: JetStreamContext.PullSubscription) -> AsyncGenerator[Msg, None]:
    while True:
        try:
            messages = await _fetch(subscription, _FOLLOW_BATCH, _FOLLOW_WAIT)
        except TimeoutError:
            # Nothing new, or the consumer is gone: asking for it tells which, and raises in the second case.
            await subscription.consumer_info()
            continue
        for message in messages:
            yield message
