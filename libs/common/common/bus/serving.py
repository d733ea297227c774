"""The answering side: every request becomes a bounded task with deadline, trace, metrics and log context around it."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Generic

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel, ValidationError

from common.bus.frames import BUS_REFUSALS, CHUNKS, Frame, encode, fits, invalid
from common.bus.handlers import Answer, DepsT, Handlers
from common.context import Call, calling
from common.telemetry import SECONDS, Counter, Gauge, Histogram, extracted, get_logger, hop
from contracts.base import RefusalCode, Refused, Rpc, Stream
from contracts.topology import Header, cancel_subject, inbox_prefix

_log = get_logger("bus")
_PING_SECONDS = 2.0

REQUESTS = Counter("bus_requests_total", "Requests answered over the bus", ["subject", "outcome"])
DURATION = Histogram("bus_request_seconds", "Time to answer a request over the bus", ["subject"], buckets=SECONDS)
IN_FLIGHT = Gauge("bus_requests_in_flight", "Requests being answered now")


class Server(Generic[DepsT]):
    """Answers the contracts of a `Handlers` table on one connection, as one of any number of replicas."""

    def __init__(
        self, client: Client, service: str, handlers: Handlers[DepsT], deps: DepsT, *, max_concurrency: int
    ) -> None:
        self._client = client
        self._service = service
        self._handlers = handlers
        self._deps = deps
        self._max_concurrency = max_concurrency
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._subscriptions: list[Any] = []
        self._lost_prefix = f"{inbox_prefix(service)}.lost.{client._nuid.next().decode()}"

    async def start(self) -> None:
        """Subscribes, in the queue group of the service."""
        cancels: set[str] = set()
        for answer in self._handlers.answers.values():
            contract = answer.contract
            self._subscriptions.append(
                await self._client.subscribe(
                    contract.subject,
                    queue=self._service,
                    cb=self._receiver(answer),
                    pending_msgs_limit=-1,
                    pending_bytes_limit=256 * 1024 * 1024,
                )
            )
            if isinstance(contract, Stream):
                cancels.add(cancel_subject(contract))
        for subject in cancels:
            # Every replica hears of a cancel: only the one that runs the stream knows its id.
            self._subscriptions.append(await self._client.subscribe(subject, cb=self._on_cancel))
        self._subscriptions.append(await self._client.subscribe(f"{self._lost_prefix}.*", cb=self._on_lost))
        await self._client.flush()

    async def stop(self, grace: float) -> None:
        """Takes nothing new, then waits up to `grace` seconds for what is being answered."""
        try:
            async with asyncio.timeout(grace):
                if self._client.is_connected:
                    await asyncio.gather(*(one.drain() for one in self._subscriptions), return_exceptions=True)
                if self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            left = set(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _receiver(self, answer: Answer[DepsT]) -> Any:
        # Of each subject its own: long answers on one never keep short ones on another waiting.
        slots = asyncio.Semaphore(self._max_concurrency)

        async def receive(message: Msg) -> None:
            # Callbacks of one subscription run one after another, so the work itself becomes a task. Waiting for a slot
            # holds back this subject alone, and what waits is dropped unanswered once its deadline has passed.
            await slots.acquire()
            work = (
                self._answer_stream(answer, message)
                if isinstance(answer.contract, Stream)
                else self._answer_rpc(answer, message)
            )
            self._spawn(work, message, slots)

        return receive

    def _spawn(self, work: Coroutine[Any, Any, None], message: Msg, slots: asyncio.Semaphore) -> None:
        task = asyncio.create_task(work)
        stream_id = (message.headers or {}).get(Header.STREAM_ID)
        if stream_id:
            self._streams[stream_id] = task
        self._tasks.add(task)
        IN_FLIGHT.inc()

        def done(task: asyncio.Task[None]) -> None:
            IN_FLIGHT.dec()
            slots.release()
            self._tasks.discard(task)
            if stream_id:
                self._streams.pop(stream_id, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("answer_not_sent", subject=message.subject, error=repr(error))

        task.add_done_callback(done)

    async def _on_cancel(self, message: Msg) -> None:
        self._cancel(message.data.decode(errors="replace"))

    async def _on_lost(self, message: Msg) -> None:
        # The server says that nobody listens to the inbox any more: the caller is gone without a word.
        self._cancel(message.subject.rsplit(".", 1)[1])

    def _cancel(self, stream_id: str) -> None:
        task = self._streams.get(stream_id)
        if task is not None:
            task.cancel()

    async def _answer_rpc(self, answer: Answer[DepsT], message: Msg) -> None:
        async def respond(call: Call) -> None:
            request = _request(answer.contract, message.data)
            reply = await answer.function(self._deps, request)
            await self._reply(message, reply)

        await self._within(answer.contract, message, respond)

    async def _answer_stream(self, answer: Answer[DepsT], message: Msg) -> None:
        contract = answer.contract
        assert isinstance(contract, Stream)  # noqa: S101 - narrows the type
        stream_id = (message.headers or {}).get(Header.STREAM_ID, "")
        lost = f"{self._lost_prefix}.{stream_id}"

        async def respond(call: Call) -> None:
            request = _request(contract, message.data)
            source: AsyncIterator[BaseModel] = answer.function(self._deps, request)
            async with asyncio.TaskGroup() as group:
                pinger = group.create_task(self._ping(message.reply, lost))
                chunks = 0
                async with aclosing(source) as items:  # type: ignore[type-var]
                    async for item in items:
                        headers = None
                        if isinstance(item, contract.final):
                            headers = {Header.FRAME.value: Frame.FINAL.value, CHUNKS: str(chunks)}
                        chunks += 1
                        data = self._fitting(encode(item))
                        await self._client.publish(message.reply, data, reply=lost, headers=headers)
                pinger.cancel()

        await self._within(contract, message, respond)

    async def _ping(self, inbox: str, lost: str) -> None:
        # Tells a live stream that is slow from a dead server, and a live caller from a dead one.
        while True:
            await asyncio.sleep(_PING_SECONDS)
            await self._client.publish(inbox, b"", reply=lost, headers={Header.FRAME.value: Frame.PING.value})

    async def _within(self, contract: Rpc[Any, Any] | Stream[Any, Any, Any], message: Msg, respond: Any) -> None:
        headers = message.headers or {}
        started = time.perf_counter()
        outcome = "ok"
        with (
            calling(Call.from_headers(headers)) as call,
            structlog.contextvars.bound_contextvars(subject=contract.subject, request_id=call.request_id),
            hop(
                contract.subject,
                SpanKind.SERVER,
                parent=extracted(headers),
                attributes={"messaging.system": "nats", "messaging.destination.name": contract.subject},
            ) as span,
        ):
            try:
                remaining = call.remaining()
                if remaining is not None and remaining <= 0:
                    outcome = "expired"
                    return
                # A stream's deadline bounds its start alone: how long it may run is the engine's affair.
                async with asyncio.timeout(None if isinstance(contract, Stream) else remaining):
                    await respond(call)
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            except Exception as error:
                refusal = _refusal_for(error, contract)
                outcome = refusal.code.value
                span.set_status(StatusCode.ERROR, refusal.code.value)
                await self._refuse(message, refusal)
            finally:
                REQUESTS.labels(contract.subject, outcome).inc()
                DURATION.labels(contract.subject).observe(time.perf_counter() - started)

    async def _reply(self, message: Msg, reply: BaseModel) -> None:
        await self._client.publish(message.reply, self._fitting(encode(reply)))

    def _fitting(self, data: bytes) -> bytes:
        if not fits(data, self._client):
            raise Refused(RefusalCode.TOO_LARGE, "The answer is too large to be sent at once")
        return data

    async def _refuse(self, message: Msg, refusal: Refused) -> None:
        if message.reply:
            headers = {Header.FRAME.value: Frame.REFUSED.value}
            await self._client.publish(message.reply, encode(refusal.body()), headers=headers)


def _request(contract: Rpc[Any, Any] | Stream[Any, Any, Any], data: bytes) -> BaseModel:
    try:
        request: BaseModel = contract.request.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise invalid(error, contract.request) from None
    return request


def _refusal_for(error: Exception, contract: Rpc[Any, Any] | Stream[Any, Any, Any]) -> Refused:
    """What the caller hears: a declared refusal as it is; a crash as `internal_error`, logged with its trace here."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        # A stream runs in a task group, which wraps what its handler raised.
        return _refusal_for(error.exceptions[0], contract)
    if isinstance(error, Refused) and (error.code in contract.refusals or error.code in BUS_REFUSALS):
        return error
    if isinstance(error, TimeoutError):
        return Refused(RefusalCode.TIMEOUT, "The deadline of the request passed")
    _log.error("handler_crashed", subject=contract.subject, exc_info=error)
    return Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged")
