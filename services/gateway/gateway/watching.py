"""What runs tell, for the clients of this process that watch them: one reader of the stream for all.

A client that is to miss nothing is given what is kept first, and what came meanwhile then. Each has a queue of bounded
size, so that one which is too slow for what it asked for harms nobody.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from common.bus import Bus, BusDown
from common.telemetry import Gauge, get_logger
from contracts.base import RefusalCode, Refused
from contracts.run_events import RUN_TOLD
from gateway.domain.run_events import Endings, Scope, Sent, place, scopes, sent

WATCHERS = Gauge("gateway_run_watchers", "Clients that watch runs now")

_log = get_logger("watching")
_PATIENCE = 5.0
_PAUSE = 0.5
_MOST_AT_ONCE = 100
"""Clients of one caller at this process: what may wait for all of them stays bounded."""


@dataclass(frozen=True)
class Closing:
    """Why a socket is closed: the code and the reason that the client is told."""

    code: int
    reason: str

    def decide(self, closing: "asyncio.Future[Closing]") -> None:
        """Unless another reason came first."""
        if not closing.done():
            closing.set_result(self)


SLOW = Closing(4408, "Too slow: come back with last_event_id and go on from there")
FORGOTTEN = Closing(4410, "What came after last_event_id is not kept: come back without, and look at the runs")
UNKNOWN = Closing(4401, "The key, the session or the ticket does not hold any more")
GOING_AWAY = Closing(1001, "The gateway is shutting down: come back with last_event_id")
BROKEN = Closing(1013, "What runs tell cannot be read at the moment")


class Watcher:
    """One client: what it has not been sent yet. `on_slow` is called once, when that is too much."""

    def __init__(self, bus: Bus, scope: Scope, endings: Endings, most_bytes: int, on_slow: Callable[[], None]) -> None:
        self._bus = bus
        self._endings = Endings(endings)
        self._scope = scope
        self._most_bytes = most_bytes
        self._on_slow = on_slow
        self._waiting: deque[Sent] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._seen = 0
        self._is_replaying = False
        self._has_missed = False

    async def missed(self, after: int) -> AsyncGenerator[Sent, None]:
        """What is kept after the message of the id `after`; what comes later is next.

        Raises Forgotten when that is not kept any more, `Refused(UNAVAILABLE)` when it cannot be read.
        """
        self._is_replaying, self._seen, self._has_missed = True, after, True
        try:
            while self._has_missed:
                self._clear()
                async with aclosing(self._kept()) as messages:
                    async for message in messages:
                        yield message
        except BusDown as error:
            _log.warning("watching_broken_off", error=str(error))
            raise _unreadable() from error
        self._is_replaying = False

    async def _kept(self) -> AsyncGenerator[Sent, None]:
        key = None if self._scope.run_id is None else str(self._scope.run_id)
        async with aclosing(self._bus.replay(RUN_TOLD, key=key, after=place(self._seen))) as events:
            async for event in events:
                late = self._endings.is_late(_number(event.key), event.sequence, event.body)
                if not late and self._scope.owner in (None, event.body.owner):
                    for message in self._unseen(sent(event.sequence, event.body)):
                        yield message

    async def next(self, timeout: float | None = None) -> Sent | None:
        """The next message; None when nothing came for `timeout` seconds."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                try:
                    async with asyncio.timeout(timeout):
                        await self._arrived.wait()
                except TimeoutError:
                    return None
            message = self._waiting.popleft()
            self._bytes -= len(message.text)
            for unseen in self._unseen([message]):
                return unseen

    def offer(self, messages: list[Sent]) -> None:
        """More has come. What does not fit is read again by who is given what is kept; others are too slow."""
        if self._has_missed:
            return
        size = sum(len(message.text) for message in messages)
        if self._waiting and self._bytes + size > self._most_bytes:
            self._has_missed = True
            if not self._is_replaying:
                self._on_slow()
            return
        self._waiting.extend(messages)
        self._bytes += size
        self._arrived.set()

    def _unseen(self, messages: list[Sent]) -> list[Sent]:
        unseen = [message for message in messages if message.id > self._seen]
        if unseen:
            self._seen = unseen[-1].id
        return unseen

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes, self._has_missed = 0, False


class RunEvents:
    """Hands what runs tell to those who watch them. `most_bytes` may wait for each."""

    def __init__(self, bus: Bus, *, most_bytes: int) -> None:
        self._bus = bus
        self._most_bytes = most_bytes
        self._watchers: defaultdict[Scope, set[Watcher]] = defaultdict(set)
        self._callers: Counter[str] = Counter()
        self._endings = Endings()
        self._place: int | None = None
        self._is_reading = asyncio.Event()

    async def run(self) -> None:
        """Reads until cancelled."""
        while self._place is None:
            try:
                self._place = await self._bus.end_of(RUN_TOLD)
            except BusDown as error:
                _log.warning("watching_waits", error=str(error))
                await asyncio.sleep(_PAUSE)
        self._is_reading.set()
        async for event in self._bus.follow(RUN_TOLD, after=self._place):
            self._place = event.sequence
            if self._endings.is_late(_number(event.key), event.sequence, event.body):
                continue
            found = [
                self._watchers[scope] for scope in scopes(event.body, _number(event.key)) if scope in self._watchers
            ]
            if found:
                messages = sent(event.sequence, event.body)
                for watcher in [watcher for watchers in found for watcher in watchers]:
                    watcher.offer(messages)

    @asynccontextmanager
    async def watching(self, scope: Scope, caller: str, on_slow: Callable[[], None]) -> AsyncIterator[Watcher]:
        """From now on what is told within `scope` is kept for the watcher, on behalf of `caller`.

        Raises `Refused`: UNAVAILABLE, RATE_LIMITED for a caller that watches too often at once.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._is_reading.wait()
        except TimeoutError:
            raise _unreadable() from None
        watcher = Watcher(self._bus, scope, self._endings, self._most_bytes, on_slow)
        if self._callers[caller] >= _MOST_AT_ONCE:
            raise Refused(RefusalCode.RATE_LIMITED, f"{_MOST_AT_ONCE} streams are open already", {"retry_after": 1})
        self._callers[caller] += 1
        self._watchers[scope].add(watcher)
        WATCHERS.inc()
        try:
            yield watcher
        finally:
            WATCHERS.dec()
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]
            self._watchers[scope].discard(watcher)
            if not self._watchers[scope]:
                del self._watchers[scope]


def _unreadable() -> Refused:
    return Refused(RefusalCode.UNAVAILABLE, "What runs tell cannot be read at the moment")


def _number(key: str | None) -> int:
    return int(key or 0)
