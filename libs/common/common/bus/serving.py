"""The answering side: every request becomes a bounded task with deadline, trace, metrics and log context around it."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Generic

from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ValidationError

from common.bus.frames import BUS_REFUSALS, Frame, answer_name, encode, invalid, room
from common.bus.handlers import Answer, DepsT, Handlers
from common.bus.protocol import Message
from common.bus.streaming import Writing
from common.bus.wire import BusDown, Subscription, Wire
from common.context import Call, calling
from common.telemetry import SECONDS, Counter, Gauge, Histogram, get_logger
from common.tracing import SpanKind, hop
from contracts.base import RefusalCode, Refused, Rpc, Stream
from contracts.topology import Header, cancel_subject, inbox_prefix

_log = get_logger("bus")
_MOST_WAITING = 256 * 1024 * 1024
"""Bytes of requests on one subject that wait in line."""
_LONGEST_MESSAGE = 1000
"""Characters of a refusal whose details are too large to be sent."""
_UNSUBSCRIBE_SECONDS = 5.0
PING_SECONDS = 2.0
_FAULTS = frozenset(
    (
        *(RefusalCode.INTERNAL, RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT, RefusalCode.STORAGE_FAILED),
        *(RefusalCode.ENGINE_FAILED, RefusalCode.ENGINE_UNAVAILABLE, RefusalCode.TRAINING_FAILED),
    )
)
"""Refusals that are errors in a trace: not those of whoever asked."""
_PING = {Header.FRAME.value: Frame.PING.value}

REQUESTS = Counter("bus_requests_total", "Requests answered over the bus", ["subject", "outcome"])
DURATION = Histogram("bus_request_seconds", "Time to answer a request over the bus", ["subject"], buckets=SECONDS)
IN_FLIGHT = Gauge("bus_requests_in_flight", "Requests being answered now")

Work = Callable[[Message], Awaitable[None]]


class Server(Generic[DepsT]):
    """Answers the contracts of a `Handlers` table on one connection, as one of any number of replicas."""

    def __init__(
        self, wire: Wire, service: str, handlers: Handlers[DepsT], deps: DepsT, *, max_concurrency: int
    ) -> None:
        self._wire = wire
        self._service = service
        self._handlers = handlers
        self._deps = deps
        self._max_concurrency = max_concurrency
        self._lines: list[_Line] = []
        self._subscriptions: list[Subscription] = []
        self._lost_prefix = f"{inbox_prefix(service)}.lost.{uuid.uuid4().hex}"

    async def start(self) -> None:
        """Subscribes, in the queue group of the service."""
        cancels: set[str] = set()
        for answer in self._handlers.answers.values():
            contract = answer.contract
            answering = _Answering(self._wire, self._deps, answer, self._lost_prefix)
            line = _Line(answering, self._max_concurrency)
            self._lines.append(line)
            self._subscriptions.append(self._wire.subscribe(contract.subject, line.receive, queue=self._service))
            if answering.long:
                cancels.add(cancel_subject(contract))
        for subject in cancels:
            # Every replica hears of a cancel: only the one that works on the answer knows its name.
            self._subscriptions.append(self._wire.subscribe(subject, self._on_cancel))
        self._subscriptions.append(self._wire.subscribe(f"{self._lost_prefix}.*", self._on_lost))
        with suppress(BusDown):
            # Away at the moment: it hears of them when it is back.
            await self._wire.flush()

    async def stop(self, grace: float) -> None:
        """Takes nothing new, then waits up to `grace` seconds for what is being answered."""
        try:
            async with asyncio.timeout(grace):
                # A bus that does not answer is no reason to wait for as long as the longest answer may take.
                with suppress(BusDown, TimeoutError):
                    async with asyncio.timeout(_UNSUBSCRIBE_SECONDS):
                        await self._wire.drain(self._subscriptions)
                while tasks := self._tasks():
                    await asyncio.wait(tasks)
        except TimeoutError:
            for line in self._lines:
                line.forget()
            left = self._tasks()
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _tasks(self) -> set["asyncio.Task[None]"]:
        return {task for line in self._lines for task in line.tasks}

    def _on_cancel(self, message: Message) -> None:
        self._cancel(message.data.decode(errors="replace"))

    def _on_lost(self, message: Message) -> None:
        # The server says that nobody listens to the inbox any more: the caller is gone without a word. After an outage
        # callers come back one by one, and the next ping asks again for who is not there yet.
        if self._wire.seconds_since_outage < PING_SECONDS:
            return
        self._cancel(message.subject.rsplit(".", 1)[1])

    def _cancel(self, name: str) -> None:
        for line in self._lines:
            line.leave(name)


class _Line:
    """The requests on one subject: so many at once, the others in line.

    Each subject has its own: long answers on one never keep short ones on another waiting.
    """

    def __init__(self, answering: "_Answering[Any]", most: int) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._answering = answering
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._long: dict[str, tuple[asyncio.Task[None], Message]] = {}
        self._pinging: asyncio.TimerHandle | None = None

    def receive(self, message: Message) -> None:
        if not message.reply:
            # Nobody waits for an answer, and one to no subject would cost the connection.
            return
        if len(self.tasks) < self._most:
            self._begin(message)
        elif self._waiting_bytes + len(message.data) > _MOST_WAITING:
            self._answering.refuse(message, Refused(RefusalCode.UNAVAILABLE, "Too many requests wait in line"))
        else:
            self._waiting.append(message)
            self._waiting_bytes += len(message.data)

    def leave(self, name: str) -> None:
        """Whoever asked for the long answer of that name wants it no more."""
        if not self._answering.long:
            return
        if (known := self._long.get(name)) is not None:
            known[0].cancel()
        for message in [message for message in self._waiting if answer_name(message.reply) == name]:
            self._waiting.remove(message)
            self._waiting_bytes -= len(message.data)

    def forget(self) -> None:
        """Drops those who wait: they find out by their deadlines."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def _begin(self, message: Message) -> None:
        task = self._loop.create_task(self._answering.answer(message))
        self.tasks.add(task)
        IN_FLIGHT.inc()
        task.add_done_callback(self._ended)
        if self._answering.long:
            name = answer_name(message.reply)
            self._long[name] = task, message
            task.add_done_callback(lambda _: self._long.pop(name, None))
            if self._pinging is None:
                self._ping_later()

    def _ping_later(self) -> None:
        self._pinging = self._loop.call_later(PING_SECONDS, self._ping)

    def _ping(self) -> None:
        """Tells all who wait for a long answer, also those in line, that they are not forgotten."""
        self._pinging = None
        for message in (*(message for _, message in self._long.values()), *self._waiting):
            self._answering.ping(message)
        if self._long:
            self._ping_later()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        IN_FLIGHT.dec()
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("answer_not_sent", subject=self._answering.subject, error=repr(error))
        if self._waiting:
            message = self._waiting.popleft()
            self._waiting_bytes -= len(message.data)
            self._begin(message)


class _Answering(Generic[DepsT]):
    """One contract with the function that answers it, and what surrounds every answer."""

    def __init__(self, wire: Wire, deps: DepsT, answer: Answer[DepsT], lost_prefix: str) -> None:
        contract = answer.contract
        self.subject = contract.subject
        self.streams = isinstance(contract, Stream)
        self.long = isinstance(contract, Stream) or contract.long
        self._wire = wire
        self._deps = deps
        self._contract = contract
        self._function = answer.function
        self._lost_prefix = lost_prefix
        self._respond = self._respond_in_chunks if self.streams else self._respond_at_once
        self._attributes = {"messaging.system": "nats", "messaging.destination.name": contract.subject}
        self._succeeded = REQUESTS.labels(contract.subject, "ok")
        # There from the start: Prometheus sees no increase in what was not there before.
        REQUESTS.labels(contract.subject, RefusalCode.INTERNAL.value)
        self._duration = DURATION.labels(contract.subject)

    async def answer(self, message: Message) -> None:
        headers = message.headers
        started = time.perf_counter()
        outcome = "ok"
        with (
            calling(Call.from_headers(headers, self.subject)) as call,
            hop(self.subject, SpanKind.SERVER, headers=headers, attributes=self._attributes) as span,
        ):
            try:
                remaining = call.remaining()
                if remaining is not None and remaining <= 0:
                    outcome = "expired"
                    return
                if self.long:
                    # Whoever asked says when to stop, and is asked whether it is still there.
                    await self._respond(message)
                else:
                    async with asyncio.timeout(remaining):
                        await self._respond(message)
            except (Exception, asyncio.CancelledError) as error:
                if _was_stopped(error):
                    outcome = "cancelled"
                    raise
                refusal = _refusal_for(error, self._contract)
                outcome = refusal.code.value
                if refusal.code in _FAULTS:
                    span.set_status(StatusCode.ERROR, outcome)
                self.refuse(message, refusal)
            finally:
                (self._succeeded if outcome == "ok" else REQUESTS.labels(self.subject, outcome)).inc()
                self._duration.observe(time.perf_counter() - started)

    def ping(self, message: Message) -> None:
        """Tells slow work from a dead server, and a live caller from a dead one: we hear if nobody listens."""
        with suppress(BusDown):
            self._wire.publish(message.reply, b"", reply=self._lost(message), headers=_PING)

    def refuse(self, message: Message, refusal: Refused) -> None:
        data = encode(refusal.body())
        if len(data) > room(self._wire.max_payload):
            data = encode(Refused(refusal.code, refusal.message[:_LONGEST_MESSAGE]).body())
        self._wire.publish(message.reply, data, headers={Header.FRAME.value: Frame.REFUSED.value})

    async def _respond_at_once(self, message: Message) -> None:
        reply: BaseModel = await self._function(self._deps, self._request(message.data))
        data = encode(reply)
        if len(data) > room(self._wire.max_payload):
            raise Refused(RefusalCode.TOO_LARGE, "The answer is too large to be sent at once")
        self._wire.publish(message.reply, data)

    async def _respond_in_chunks(self, message: Message) -> None:
        contract = self._contract
        assert isinstance(contract, Stream)  # noqa: S101 - narrows the type
        source: AsyncIterator[Any] = self._function(self._deps, self._request(message.data))
        with Writing(self._wire, contract, message.reply, self._lost(message)) as writing:
            async with aclosing(source) as items:  # type: ignore[type-var]
                async for item in items:
                    writing.add(item)

    def _lost(self, message: Message) -> str:
        """Where the server tells us that nobody waits for the answer any more."""
        return f"{self._lost_prefix}.{answer_name(message.reply)}"

    def _request(self, data: bytes) -> BaseModel:
        try:
            request: BaseModel = self._contract.request.model_validate_json(data or b"{}")
        except ValidationError as error:
            raise invalid(error, self._contract.request) from None
        return request


def _was_stopped(error: BaseException) -> bool:
    """Whether the answer itself was cancelled, and not something that it waited for, whose caller waits still."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _refusal_for(error: BaseException, contract: Rpc[Any, Any] | Stream[Any, Any, Any]) -> Refused:
    """What the caller hears: a declared refusal as it is; a crash as `internal_error`, logged with its trace here."""
    if isinstance(error, Refused) and (error.code in contract.refusals or error.code in BUS_REFUSALS):
        return error
    if isinstance(error, TimeoutError):
        return Refused(RefusalCode.TIMEOUT, "The deadline of the request passed")
    _log.error("handler_crashed", subject=contract.subject, exc_info=error)
    return Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged")
