"""The asking and telling side of the bus, and the one object a service holds of it."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress

from nats.aio.client import Client
from nats.errors import Error as NatsError

from common.bus.connection import connect_reader, connect_wire
from common.bus.frames import NO_RESPONDERS, STATUS, encode, refusal_in, room, unavailable
from common.bus.handlers import DepsT, Handlers
from common.bus.inbox import Inbox, Silent
from common.bus.jetstream import Delivered, Puller, end_of, follow, kept_after, replay, settle
from common.bus.posting import Poster
from common.bus.protocol import Message
from common.bus.serving import Server
from common.bus.streaming import SILENCE_SECONDS, Reading
from common.bus.wire import BusDown, Wire
from common.context import current
from common.settings import ServiceSettings
from common.telemetry import get_logger
from common.tracing import SpanKind, hop, inject
from contracts.base import BodyT, BrokenOff, ChunkT, Event, FinalT, RefusalCode, Refused, ReplyT, RequestT, Rpc, Stream
from contracts.topology import Consumer, cancel_subject, inbox_prefix

_log = get_logger("bus")
_RETRY_SECONDS = 0.1
_PUBLISH_TIMEOUT = 5.0
_GOODBYE_SECONDS = 1.0
_MESSAGE_ID = "Nats-Msg-Id"


class Bus:
    """A service's connection to all others. Made by `Bus.connect`, ended by `close`."""

    def __init__(self, wire: Wire, reader: Client, service: str, *, max_concurrency: int, drain_seconds: float) -> None:
        self._wire = wire
        self._reader = reader
        self._context = reader.jetstream(timeout=_PUBLISH_TIMEOUT)
        self._service = service
        self._max_concurrency = max_concurrency
        self._drain_seconds = drain_seconds
        self._servers: list[Server[object]] = []
        self._inbox = Inbox(wire, inbox_prefix(service))
        self._poster = Poster(wire, inbox_prefix(service))

    @classmethod
    async def connect(cls, settings: ServiceSettings, service: str) -> "Bus":
        """Connects as `service`, a name of `contracts.topology.ACCESS`."""
        wire = await connect_wire(settings, service)
        reader = await connect_reader(settings, service)
        return cls(
            wire,
            reader,
            service,
            max_concurrency=settings.max_concurrency,
            drain_seconds=settings.drain_seconds,
        )

    async def drain(self, grace: float | None = None) -> None:
        """Takes no more questions and finishes what is being answered; asking still works.

        That may take `grace` seconds, or as many as the settings say.
        """
        servers, self._servers = self._servers, []
        grace = self._drain_seconds if grace is None else grace
        await asyncio.gather(*(server.stop(grace) for server in servers))

    async def close(self, grace: float | None = None) -> None:
        """Drains, then disconnects."""
        await self.drain(grace)
        with suppress(NatsError, OSError):
            await self._reader.close()
        with suppress(BusDown, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._wire.flush()
        await self._wire.close()

    async def ping(self) -> None:
        """Raises BusDown when there is no connection at the moment."""
        if not (self._wire.is_connected and self._reader.is_connected):
            raise BusDown("not connected to NATS")

    async def serve(self, handlers: Handlers[DepsT], deps: DepsT) -> None:
        """Answers the contracts in `handlers` from now on."""
        server = Server(self._wire, self._service, handlers, deps, max_concurrency=self._max_concurrency)
        await server.start()
        self._servers.append(server)  # type: ignore[arg-type]

    # Questions

    async def ask(
        self, rpc: Rpc[RequestT, ReplyT], request: RequestT, *, timeout: float | None = None, patience: float = 3.0
    ) -> ReplyT:
        """Asks and waits for the answer, at most `timeout` seconds and never past the current call's deadline.

        While nobody serves the subject (a service restarts), it asks again for `patience` seconds: an unheard question
        is safe to repeat. Raises `Refused`: UNAVAILABLE when nobody answers, or who worked on a long question died;
        TIMEOUT when the answer does not come.
        """
        timeout = self._bounded(rpc.timeout if timeout is None else timeout)
        deadline = time.time() + timeout
        with hop(f"ask {rpc.subject}", SpanKind.CLIENT):
            headers = inject(current().headers(deadline))
            data = self._fitting(encode(request))
            reply = await self._heard(rpc, data, headers, deadline, min(patience, timeout))
        if (refusal := refusal_in(reply.headers, reply.data)) is not None:
            raise refusal
        return rpc.reply.model_validate_json(reply.data)

    async def _heard(
        self, rpc: Rpc[RequestT, ReplyT], data: bytes, headers: Mapping[str, str], deadline: float, patience: float
    ) -> Message:
        """The answer of somebody who serves the subject."""
        unheard_until = time.monotonic() + patience
        silence, cancel = (SILENCE_SECONDS, cancel_subject(rpc)) if rpc.long else (math.inf, None)
        while True:
            try:
                timeout = deadline - time.time()
                reply = await self._inbox.ask(rpc.subject, data, headers, timeout, silence=silence, cancel=cancel)
            except TimeoutError:
                raise Refused(RefusalCode.TIMEOUT, f"The {rpc.owner} did not answer in time") from None
            except Silent:
                raise BrokenOff(f"The {rpc.owner} stopped answering half-way") from None
            except BusDown as error:
                _log.warning("ask_failed", subject=rpc.subject, error=str(error))
                raise unavailable(rpc.owner) from None
            if reply.headers.get(STATUS) != NO_RESPONDERS:
                return reply
            if time.monotonic() >= unheard_until:
                raise unavailable(rpc.owner)
            await asyncio.sleep(_RETRY_SECONDS)

    async def stream(
        self, stream: Stream[RequestT, ChunkT, FinalT], request: RequestT, *, patience: float = 3.0
    ) -> AsyncGenerator[ChunkT | FinalT, None]:
        """Asks and yields chunks as they come; the last item is the final message. Closing it early stops the work.

        Raises `Refused`; a server that dies half-way is noticed within seconds and told as UNAVAILABLE, so a broken
        stream never looks like a finished one.
        """
        async with aclosing(self.batches(stream, request, patience=patience)) as batches:
            async for batch in batches:
                if isinstance(batch, list):
                    for chunk in batch:
                        yield chunk
                else:
                    yield batch

    async def batches(
        self, stream: Stream[RequestT, ChunkT, FinalT], request: RequestT, *, patience: float = 3.0
    ) -> AsyncGenerator[list[ChunkT] | FinalT, None]:
        """As `stream`, with the chunks that came together in one list: what passes them on need write only once.

        An empty list, every two seconds, says that who answers is still there.
        """
        patience_to_start = self._bounded(stream.start_timeout)
        deadline = time.time() + patience_to_start
        data = self._fitting(encode(request))
        inbox = f"{inbox_prefix(self._service)}.{uuid.uuid4().hex}"
        with Reading(self._wire, stream, inbox, patience_to_start) as reading:
            with hop(f"stream {stream.subject}", SpanKind.CLIENT):
                headers = inject(current().headers(deadline))
            reading.ask(data, headers)
            unheard_until = time.monotonic() + patience
            while not reading.ended:
                message = await reading.next()
                if message.headers.get(STATUS) == NO_RESPONDERS:
                    if time.monotonic() >= unheard_until:
                        raise unavailable(stream.owner)
                    await asyncio.sleep(_RETRY_SECONDS)
                    reading.ask(data, headers)
                else:
                    yield reading.take(message)

    def _bounded(self, timeout: float) -> float:
        remaining = current().remaining()
        if remaining is None:
            return timeout
        if remaining <= 0:
            raise Refused(RefusalCode.TIMEOUT, "The deadline of the request passed")
        return min(timeout, remaining)

    def _fitting(self, data: bytes) -> bytes:
        if len(data) > room(self._wire.max_payload):
            raise Refused(RefusalCode.TOO_LARGE, f"The request is too large: it has {len(data)} bytes")
        return data

    # Events

    async def publish(self, event: Event[BodyT], body: BodyT, *, message_id: str, key: str | None = None) -> None:
        """Tells `body` and waits until JetStream has it. Raises BusDown. A repeated `message_id` is kept once."""
        await self.publish_raw_many([(event.subject_for(key), encode(body), inject({}), message_id)])

    def post(self, event: Event[BodyT], body: Callable[[], BodyT], *, message_id: str) -> "asyncio.Future[None]":
        """As `publish`, without the wait: the future is done once JetStream has the body, and fails with BusDown.

        What this connection sends after it arrives after it, so that nobody sees the answer to a question before the
        event that was posted first is safe from a crash of this process. `body` is called when what was sent in this
        turn of the event loop is written: it may tell more than there was when it was posted. Bound the wait for the
        future, and cancel it.
        """
        return self._poster.post_late(event.subject_for(None), lambda: encode(body()), {_MESSAGE_ID: message_id})

    def mention(self, event: Event[BodyT], body: BodyT, *, key: str | None = None) -> None:
        """Tells what nobody misses: it is not waited for, and dropped when the bus is away or has too much to do."""
        if self._wire.is_idle:
            self._wire.publish(event.subject_for(key), encode(body))

    async def publish_many(self, event: Event[BodyT], bodies: Sequence[tuple[str | None, str, BodyT]]) -> None:
        """As `publish`, for several `(key, message id, body)`, in order, in one round trip."""
        headers = inject({})
        await self.publish_raw_many(
            [(event.subject_for(key), encode(body), headers, message_id) for key, message_id, body in bodies]
        )

    async def publish_raw_many(self, messages: Sequence[tuple[str, bytes, Mapping[str, str], str]]) -> None:
        """Publishes `(subject, payload, headers, message id)`; raises BusDown unless JetStream took all of them."""
        if not self._wire.is_connected:
            # They would be kept for later, and the caller will tell them again anyway.
            raise BusDown("not connected to NATS")
        for subject, payload, _, message_id in messages:
            if len(payload) > room(self._wire.max_payload):
                raise BusDown(f"JetStream will not take {message_id} for {subject}: it has {len(payload)} bytes")
        taken: list[asyncio.Future[None]] = []
        try:
            for subject, payload, headers, message_id in messages:
                taken.append(self._poster.post(subject, payload, {**headers, _MESSAGE_ID: message_id}))
            async with asyncio.timeout(_PUBLISH_TIMEOUT):
                await asyncio.gather(*taken)
        except TimeoutError:
            raise BusDown("JetStream did not take a message in time") from None
        finally:
            for one in taken:
                one.cancel()

    def follow(
        self, event: Event[BodyT], *, key: str | None = None, after: int | None = None
    ) -> AsyncGenerator[Delivered[BodyT], None]:
        """Every kept event after sequence `after` (0: from the first; None: only new ones), in order, for ever."""
        return follow(self._reader, self._context, event, key, after)

    async def replay(
        self, event: Event[BodyT], *, key: str | None = None, after: int = 0
    ) -> AsyncGenerator[Delivered[BodyT], None]:
        """Every kept event after sequence `after`, in order, and ends where there is no more at the moment.

        Raises Forgotten when nothing says what came after `after`, BusDown.
        """
        try:
            async with aclosing(replay(self._context, event, key, after)) as events:
                async for delivered in events:
                    yield delivered
        except (TimeoutError, NatsError) as error:
            raise BusDown(f"what was told of {event.subject} cannot be read: {error!r}") from error

    async def end_of(self, event: Event[BodyT]) -> int:
        """Where the event's stream ends now: what is told later has a larger sequence. Raises BusDown."""
        try:
            return await end_of(self._context, event)
        except (TimeoutError, NatsError) as error:
            raise BusDown(f"the end of {event.stream} cannot be read: {error!r}") from error

    async def kept_after(self, event: Event[BodyT], after: int) -> int:
        """The place behind which the event's stream keeps all: `after`, or a later one where what came then is gone.

        Raises BusDown.
        """
        try:
            return await kept_after(self._context, event, after)
        except (TimeoutError, NatsError) as error:
            raise BusDown(f"the beginning of {event.stream} cannot be read: {error!r}") from error

    def puller(self, consumer: Consumer[BodyT]) -> Puller[BodyT]:
        """Pulls from `consumer` by hand, for a worker that takes only what it has room for."""
        return Puller(self._context, consumer)

    async def consume(
        self,
        consumer: Consumer[BodyT],
        handle: Callable[[list[Delivered[BodyT]]], Awaitable[None]],
        *,
        batch: int = 500,
        wait: float = 1.0,
        linger: float = 0.0,
    ) -> None:
        """Hands on batches until cancelled. What its handler raises for comes again: handlers must be idempotent.

        After one that was not full, more may come together for `linger` seconds: larger batches cost less.
        """
        puller = self.puller(consumer)
        try:
            while True:
                if pulled := await puller.fetch(batch, wait):
                    await settle(consumer.name, pulled, handle)
                    if len(pulled) < batch:
                        await asyncio.sleep(linger)
        finally:
            await puller.close()
