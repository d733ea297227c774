"""The asking and telling side of the bus, and the one object a service holds of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.api import PubAck
from opentelemetry.trace import SpanKind

from common.bus.connection import BusDown, connect
from common.bus.frames import CHUNKS, NO_RESPONDERS, STATUS, Frame, encode, fits, refusal_in
from common.bus.handlers import DepsT, Handlers
from common.bus.jetstream import Delivered, Puller, follow, settle
from common.bus.posting import Poster
from common.bus.serving import Server
from common.context import current
from common.settings import ServiceSettings
from common.telemetry import get_logger, hop, inject
from contracts.base import BodyT, ChunkT, Event, FinalT, RefusalCode, Refused, ReplyT, RequestT, Rpc, Stream
from contracts.topology import Consumer, Header, cancel_subject

_log = get_logger("bus")
_RETRY_SECONDS = 0.1
_SILENCE_SECONDS = 7.0
_PUBLISH_TIMEOUT = 5.0
_MESSAGE_ID = "Nats-Msg-Id"


class Bus:
    """A service's connection to all others. Made by `Bus.connect`, ended by `close`."""

    def __init__(self, client: Client, service: str, max_concurrency: int) -> None:
        self._client = client
        self._context = client.jetstream(timeout=_PUBLISH_TIMEOUT, publish_async_max_pending=4000)
        self._service = service
        self._max_concurrency = max_concurrency
        self._servers: list[Server[object]] = []
        self._poster = Poster(client)

    @classmethod
    async def connect(cls, settings: ServiceSettings, service: str) -> "Bus":
        """Connects as `service`, a name of `contracts.topology.ACCESS`."""
        return cls(await connect(settings, service), service, settings.max_concurrency)

    async def drain(self, grace: float = 10.0) -> None:
        """Takes no more questions and finishes what is being answered, up to `grace` seconds; asking still works."""
        servers, self._servers = self._servers, []
        await asyncio.gather(*(server.stop(grace) for server in servers))

    async def close(self, grace: float = 10.0) -> None:
        """Drains, then disconnects."""
        await self.drain(grace)
        with suppress(NatsError, TimeoutError, OSError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        with suppress(NatsError, OSError):
            await self._client.close()

    async def ping(self) -> None:
        """Raises BusDown when there is no connection at the moment."""
        if not self._client.is_connected:
            raise BusDown("not connected to NATS")

    async def serve(self, handlers: Handlers[DepsT], deps: DepsT) -> None:
        """Answers the contracts in `handlers` from now on."""
        server = Server(self._client, self._service, handlers, deps, max_concurrency=self._max_concurrency)
        await server.start()
        self._servers.append(server)  # type: ignore[arg-type]

    # Questions

    async def ask(
        self, rpc: Rpc[RequestT, ReplyT], request: RequestT, *, timeout: float | None = None, patience: float = 3.0
    ) -> ReplyT:
        """Asks and waits for the answer, at most `timeout` seconds and never past the current call's deadline.

        While nobody serves the subject (a service restarts), it asks again for `patience` seconds: an unheard question
        is safe to repeat. Raises `Refused`: UNAVAILABLE when nobody answers, TIMEOUT when the answer does not come.
        """
        timeout = self._bounded(rpc.timeout if timeout is None else timeout)
        deadline = time.time() + timeout
        with hop(f"ask {rpc.subject}", SpanKind.CLIENT):
            headers = inject(current().headers(deadline))
            data = self._fitting(encode(request))
            unheard_until = time.monotonic() + min(patience, timeout)
            while True:
                try:
                    reply = await self._client.request(
                        rpc.subject, data, timeout=max(deadline - time.time(), 0.001), headers=headers
                    )
                    break
                except NoRespondersError:
                    if time.monotonic() >= unheard_until:
                        raise _unavailable(rpc.owner) from None
                    await asyncio.sleep(_RETRY_SECONDS)
                except TimeoutError:
                    raise Refused(RefusalCode.TIMEOUT, f"The {rpc.owner} did not answer in time") from None
                except (NatsError, OSError) as error:
                    _log.warning("ask_failed", subject=rpc.subject, error=repr(error))
                    raise _unavailable(rpc.owner) from None
        if (refusal := refusal_in(reply.headers, reply.data)) is not None:
            raise refusal
        return rpc.reply.model_validate_json(reply.data)

    async def stream(
        self, stream: Stream[RequestT, ChunkT, FinalT], request: RequestT, *, patience: float = 3.0
    ) -> AsyncGenerator[ChunkT | FinalT, None]:
        """Asks and yields chunks as they come; the last item is the final message. Closing it early stops the work.

        Raises `Refused`; a server that dies half-way is noticed within seconds and told as UNAVAILABLE, so a broken
        stream never looks like a finished one.
        """
        inbox = self._client.new_inbox()
        stream_id = inbox.rsplit(".", 1)[1]
        frames: asyncio.Queue[Msg] = asyncio.Queue()

        async def receive(message: Msg) -> None:
            frames.put_nowait(message)

        subscription = await self._client.subscribe(inbox, cb=receive, pending_msgs_limit=-1)
        ended = False
        try:
            with hop(f"stream {stream.subject}", SpanKind.CLIENT):
                headers = inject(current().headers(time.time() + self._bounded(stream.timeout)))
            headers[Header.STREAM_ID.value] = stream_id
            data = self._fitting(encode(request))
            unheard_until = time.monotonic() + patience
            await self._client.publish(stream.subject, data, reply=inbox, headers=headers)
            last_content = time.monotonic()
            chunks = 0
            while True:
                message = await self._next_frame(frames, stream.owner)
                kind = (message.headers or {}).get(Header.FRAME)
                if message.headers and message.headers.get(STATUS) == NO_RESPONDERS:
                    if time.monotonic() >= unheard_until:
                        ended = True
                        raise _unavailable(stream.owner)
                    await asyncio.sleep(_RETRY_SECONDS)
                    await self._client.publish(stream.subject, data, reply=inbox, headers=headers)
                elif kind == Frame.PING:
                    if time.monotonic() - last_content > stream.timeout:
                        raise Refused(RefusalCode.TIMEOUT, f"The {stream.owner} sent nothing for too long")
                elif kind == Frame.FINAL:
                    ended = True
                    if chunks != int((message.headers or {}).get(CHUNKS, chunks)):
                        raise Refused(RefusalCode.UNAVAILABLE, f"A part of the {stream.owner}'s answer was lost")
                    yield stream.final.model_validate_json(message.data)
                    return
                elif kind == Frame.REFUSED:
                    ended = True
                    refusal = refusal_in(message.headers, message.data)
                    assert refusal is not None  # noqa: S101 - the frame says so
                    raise refusal
                else:
                    last_content = time.monotonic()
                    chunks += 1
                    yield stream.chunk.model_validate_json(message.data)
        finally:
            with suppress(NatsError):
                if not ended:
                    await self._client.publish(cancel_subject(stream), stream_id.encode())
                await subscription.unsubscribe()

    async def _next_frame(self, frames: asyncio.Queue[Msg], owner: str) -> Msg:
        if not frames.empty():
            return frames.get_nowait()
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                return await frames.get()
        except TimeoutError:
            raise Refused(RefusalCode.UNAVAILABLE, f"The {owner} stopped answering half-way") from None

    def _bounded(self, timeout: float) -> float:
        remaining = current().remaining()
        if remaining is None:
            return timeout
        if remaining <= 0:
            raise Refused(RefusalCode.TIMEOUT, "The deadline of the request passed")
        return min(timeout, remaining)

    def _fitting(self, data: bytes) -> bytes:
        if not fits(data, self._client):
            raise Refused(RefusalCode.TOO_LARGE, f"The request is too large: it has {len(data)} bytes")
        return data

    # Events

    async def publish(self, event: Event[BodyT], body: BodyT, *, message_id: str, key: str | None = None) -> None:
        """Tells `body` and waits until JetStream has it. Raises BusDown. A repeated `message_id` is kept once."""
        await self.publish_raw_many([(event.subject_for(key), encode(body), inject({}), message_id)])

    async def post(self, event: Event[BodyT], body: BodyT, *, message_id: str) -> "asyncio.Future[None]":
        """As `publish`, without the wait: the future is done once JetStream has `body`, and fails with BusDown.

        What this connection sends after it arrives after it, so that nobody sees the answer to a question before the
        event that was posted first is safe from a crash of this process. Bound the wait for the future, and cancel it.
        """
        headers = {**inject({}), _MESSAGE_ID: message_id}
        return await self._poster.post(event.subject_for(None), self._fitting(encode(body)), headers)

    async def publish_many(self, event: Event[BodyT], bodies: Sequence[tuple[str | None, str, BodyT]]) -> None:
        """As `publish`, for several `(key, message id, body)`, in order, in one round trip."""
        headers = inject({})
        await self.publish_raw_many(
            [(event.subject_for(key), encode(body), headers, message_id) for key, message_id, body in bodies]
        )

    async def publish_raw_many(self, messages: Sequence[tuple[str, bytes, Mapping[str, str], str]]) -> None:
        """Publishes `(subject, payload, headers, message id)`; raises BusDown unless JetStream took all of them."""
        # While there is no connection nats-py would keep them for later, and the caller will tell them again anyway.
        await self.ping()
        for subject, payload, _, message_id in messages:
            if not fits(payload, self._client):
                raise BusDown(f"JetStream will not take {message_id} for {subject}: it has {len(payload)} bytes")
        acks: list[asyncio.Future[PubAck]] = []
        try:
            for subject, payload, headers, message_id in messages:
                acks.append(
                    await self._context.publish_async(
                        subject, payload, wait_stall=_PUBLISH_TIMEOUT, headers={**headers, _MESSAGE_ID: message_id}
                    )
                )
            async with asyncio.timeout(_PUBLISH_TIMEOUT):
                await asyncio.gather(*acks)
        except (NatsError, OSError, TimeoutError) as error:
            raise BusDown(f"JetStream did not take a message: {error!r}") from error
        finally:
            # One that is never answered would count as under way for ever, and there may only be so many.
            for ack in acks:
                ack.cancel()

    def follow(
        self, event: Event[BodyT], *, key: str | None = None, after: int | None = None
    ) -> AsyncGenerator[Delivered[BodyT], None]:
        """Every kept event after sequence `after` (0: from the first; None: only new ones), in order, for ever."""
        return follow(self._client, self._context, event, key, after)

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
    ) -> None:
        """Hands on batches until cancelled. What its handler raises for comes again: handlers must be idempotent."""
        puller = self.puller(consumer)
        try:
            while True:
                if pulled := await puller.fetch(batch, wait):
                    await settle(consumer.name, pulled, handle)
        finally:
            await puller.close()


def _unavailable(owner: str) -> Refused:
    return Refused(RefusalCode.UNAVAILABLE, f"The {owner} is not available at the moment")
