"""Core NATS on one connection: publish and subscribe, the hot path of every question, answer and chunk.

What arrives calls a plain function, and what is sent in one turn of the event loop leaves in one write: no queue, no
task and no await for each message, which is most of what a general client costs. Reading JetStream is left to one.
"""

import asyncio
import math
import random
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import orjson

from common.bus.protocol import (
    PING,
    PONG,
    Control,
    Message,
    Parser,
    ProtocolError,
    publish_frame,
    subscribe_frame,
    unsubscribe_frame,
)
from common.telemetry import get_logger

_log = get_logger("bus")
_PORT = 4222
_USUAL_PAYLOAD = 1024 * 1024
_HANDSHAKE_SECONDS = 2.0
_PAUSE_SECONDS = 0.2
_PING_SECONDS = 20.0
_MISSED_PINGS = 2
_MOST_WAITING = 16 * 1024 * 1024
"""Bytes that wait for the server to come back, or for the network."""

Receive = Callable[[Message], None]


class BusDown(Exception):
    """The bus did not take a message: it is away, or did not acknowledge in time."""


@dataclass(frozen=True)
class Login:
    """Where NATS is (URLs; `tls://` where it must be encrypted), who connects, and with what."""

    servers: Sequence[str]
    name: str
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Subscription:
    """Messages on a subject, of which each member of a `queue` group gets some."""

    number: int
    subject: str
    queue: str
    receive: Receive


class Wire:
    """A connection that comes back by itself, with its subscriptions. Made by `connect`, ended by `close`."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._link: _Link | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._numbers = count(1)
        self._out: list[bytes | Callable[[], bytes]] = []
        self._out_bytes = 0
        self._came_back = -math.inf
        self.max_payload = _USUAL_PAYLOAD
        """Largest message that the server takes, headers included, in bytes."""

    @classmethod
    async def connect(cls, login: Login, *, patience: float = 60.0) -> "Wire":
        """Connects, trying again for `patience` seconds while NATS is not there yet. Raises TimeoutError."""
        wire = cls(login)
        async with asyncio.timeout(patience):
            link = await wire._reach()
        wire._begin(link)
        wire._keeping = asyncio.create_task(wire._keep(link))
        return wire

    @property
    def is_connected(self) -> bool:
        return self._link is not None

    @property
    def seconds_since_outage(self) -> float:
        """How long ago a lost connection came back; infinite where none was ever lost."""
        return asyncio.get_running_loop().time() - self._came_back

    @property
    def is_idle(self) -> bool:
        """Whether what is sent now leaves at once."""
        return self._link is not None and not self._link.is_slow

    def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a message with the others of this turn of the loop, or keeps it while the server is away.

        Raises BusDown when too much waits already, and for what is too large: it would cost the connection.
        """
        frame = publish_frame(subject, payload, reply, headers)
        if len(frame) > self.max_payload:
            raise BusDown(f"a message of {len(frame)} bytes is too large for NATS")
        if self._out_bytes + len(frame) > _MOST_WAITING and (self._link is None or self._link.is_slow):
            raise BusDown("too much waits to be sent to NATS")
        self._send(frame)

    def send_late(self, make: Callable[[], bytes]) -> None:
        """Sends the frame that `make` makes when what was sent in this turn is written: it has its place from now on.

        `make` must not raise. Raises BusDown as `publish`.
        """
        if self._out_bytes > _MOST_WAITING and (self._link is None or self._link.is_slow):
            raise BusDown("too much waits to be sent to NATS")
        self._send(make)

    def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> Subscription:
        """Calls `receive`, which must not block, with every message on `subject` until it is unsubscribed."""
        subscription = Subscription(next(self._numbers), subject, queue, receive)
        self._subscriptions[subscription.number] = subscription
        if self._link is not None:
            self._send(subscribe_frame(subject, queue, subscription.number))
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nothing more is received, also of what is on the way."""
        if self._subscriptions.pop(subscription.number, None) is not None and self._link is not None:
            self._send(unsubscribe_frame(subscription.number))

    async def drain(self, subscriptions: Sequence[Subscription]) -> None:
        """Ends them, and returns once all that was on the way has been received. Raises BusDown."""
        try:
            for subscription in subscriptions:
                self._send(unsubscribe_frame(subscription.number))
            await self.flush()
        finally:
            for subscription in subscriptions:
                self._subscriptions.pop(subscription.number, None)

    async def flush(self) -> None:
        """Returns once the server has taken all that was sent, and all it sent before has arrived. Raises BusDown."""
        if self._link is None:
            raise BusDown("not connected to NATS")
        # Even if the network is slow: the PING must not overtake what waits.
        self._write_all(self._link)
        await self._link.round_trip()

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._link is not None:
            self._write_all(self._link)
            self._link.close()
            self._link = None

    def _send(self, frame: bytes | Callable[[], bytes]) -> None:
        if not self._out and self._link is not None:
            asyncio.get_running_loop().call_soon(self._write_out)
        self._out.append(frame)
        if isinstance(frame, bytes):
            self._out_bytes += len(frame)

    def _write_out(self) -> None:
        if self._link is not None and not self._link.is_slow:
            self._write_all(self._link)

    def _write_all(self, link: "_Link") -> None:
        """What waits, but where the connection was lost just now: then it waits for the next one."""
        if self._out and not link.is_lost:
            out, self._out, self._out_bytes = self._out, [], 0
            link.write(b"".join([frame if isinstance(frame, bytes) else frame() for frame in out]))

    def _received(self, number: int, message: Message) -> None:
        subscription = self._subscriptions.get(number)
        if subscription is None:
            return
        try:
            subscription.receive(message)
        except Exception:
            _log.exception("message_not_received", subject=message.subject)

    async def _keep(self, link: "_Link") -> None:
        """Connects again whenever the connection is lost, for ever."""
        while True:
            await link.lost()
            self._link = None
            _log.info("nats_disconnected")
            link = await self._reach()
            self._came_back = asyncio.get_running_loop().time()
            self._begin(link)
            _log.info("nats_reconnected")

    def _begin(self, link: "_Link") -> None:
        """Subscribes before it sends what waits, so that no answer to that is missed."""
        self._link = link
        self.max_payload = link.max_payload
        self._out[:0] = [subscribe_frame(s.subject, s.queue, s.number) for s in self._subscriptions.values()]
        self._write_out()

    async def _reach(self) -> "_Link":
        servers = [urlsplit(server if "//" in server else f"//{server}") for server in self._login.servers]
        while True:
            random.shuffle(servers)
            for server in servers:
                try:
                    async with asyncio.timeout(_HANDSHAKE_SECONDS):
                        return await _Link.open(server, self._login, self._received, self._write_out)
                except (OSError, TimeoutError, BusDown) as error:
                    _log.info("waiting_for_nats", error=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)


class _Link(asyncio.Protocol):
    """One TCP connection, from its handshake to its loss."""

    def __init__(self, received: Callable[[int, Message], None], drained: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._received = received
        self._drained = drained
        self._parser = Parser()
        self._transport: asyncio.Transport
        self._info: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._error = ""
        self.max_payload = _USUAL_PAYLOAD
        self.is_slow = False
        """Whether the network does not take what was written yet."""

    @classmethod
    async def open(
        cls, server: SplitResult, login: Login, received: Callable[[int, Message], None], drained: Callable[[], None]
    ) -> "_Link":
        """Raises OSError, BusDown when the server refuses the login."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: cls(received, drained), server.hostname or "", server.port or _PORT
        )
        try:
            info = await link._info
            if server.scheme == "tls" or info.get("tls_required"):
                context = ssl.create_default_context()
                transport = await loop.start_tls(link._transport, link, context, server_hostname=server.hostname)
                link._transport = cast(asyncio.Transport, transport)
            link.max_payload = int(info.get("max_payload", _USUAL_PAYLOAD))
            link.write(_connect_command(server, login))
            await link.round_trip()
        except BaseException:
            link.close()
            raise
        link._look_after()
        return link

    @property
    def is_lost(self) -> bool:
        return self._lost.done()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    async def lost(self) -> None:
        await asyncio.shield(self._lost)

    async def round_trip(self) -> None:
        """A PING and its PONG. Raises BusDown when the connection is lost, or was before."""
        if self.is_lost:
            raise BusDown("the connection to NATS was lost")
        await self._ping()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        failure = BusDown(self._error or f"the connection to NATS was lost: {error}")
        waiting: list[asyncio.Future[Any]] = [self._info, *self._pongs]
        for one in waiting:
            if not one.done():
                one.set_exception(failure)
                one.exception()  # nobody need be waiting for it
        self._lost.set_result(None)

    def pause_writing(self) -> None:
        self.is_slow = True

    def resume_writing(self) -> None:
        self.is_slow = False
        self._drained()

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._parser.feed(data):
                if isinstance(item, Control):
                    self._control(item)
                else:
                    self._received(*item)
        except (ProtocolError, ValueError) as error:
            _log.error("nats_not_understood", error=str(error))
            self._transport.abort()

    def _control(self, control: Control) -> None:
        match control.name:
            case "PING":
                self.write(PONG)
            case "PONG" if self._pongs:
                pong = self._pongs.popleft()
                if not pong.done():
                    pong.set_result(None)
            case "INFO" if not self._info.done():
                self._info.set_result(orjson.loads(control.rest))
            case "-ERR":
                # A forbidden publish reaches us only here: the publisher itself just times out.
                self._error = control.rest.decode(errors="replace").strip("'")
                _log.warning("nats_error", error=self._error)

    def _ping(self) -> "asyncio.Future[None]":
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self.write(PING)
        return pong

    def _look_after(self, last: "asyncio.Future[None] | None" = None, missed: int = 0) -> None:
        """Keeps asking whether the server is there: a connection can be dead without a word."""
        if self.is_lost:
            return
        missed = missed + 1 if last is not None and not last.done() else 0
        if missed >= _MISSED_PINGS:
            _log.warning("nats_error", error="the server does not answer")
            self._transport.abort()
            return
        asyncio.get_running_loop().call_later(_PING_SECONDS, self._look_after, self._ping(), missed)


def _connect_command(server: SplitResult, login: Login) -> bytes:
    options = {
        "verbose": False,
        "pedantic": False,
        "tls_required": server.scheme == "tls",
        "name": login.name,
        "lang": "python",
        "version": "1",
        "protocol": 1,
        "headers": True,
        "no_responders": True,
    }
    user, password = server.username or login.user, server.password or login.password
    if user:
        options |= {"user": user, "pass": password}
    return b"CONNECT " + orjson.dumps(options) + b"\r\n"
