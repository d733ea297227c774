"""The engines of this replica: who is up, who is busy, who waits for one, and what each lists."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from common.telemetry import get_logger
from llm_router.domain.adapters import AdapterUse
from llm_router.domain.affinity import Prefixes
from llm_router.domain.breaker import Breaker
from llm_router.domain.catalogue import Catalogue, Route
from llm_router.domain.engines import EngineSpec, ModelCard
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.routing import choose, load
from llm_router.engine.limit import Limit
from llm_router.engine.metrics import ENGINE_UP, OUTSTANDING, QUEUE_LENGTH, QUEUE_SECONDS
from llm_router.engine.protocol import Engine

_log = get_logger("pool")
_REFRESH_AT_MOST_EVERY = 1.0
_RECHECK_SECONDS = 0.2
_CHECKS_MISSED = 2
"""Slow health checks in a row after which an engine counts as down. One that refuses connections is down at once."""


@dataclass(frozen=True)
class PoolLimits:
    """Seconds, but `queue`: requests that may wait, and `breaker_failures`: failures in a row."""

    queue: int = 1000
    queue_seconds: float = 30.0
    patience: float = 5.0
    check_interval: float = 5.0
    breaker_failures: int = 5
    breaker_cooldown: float = 5.0


@dataclass(eq=False)
class Member:
    """An engine of the pool with its state. Times are of the monotonic clock, but `last_used`."""

    spec: EngineSpec
    engine: Engine
    breaker: Breaker
    down_since: float
    last_used: datetime | None
    up: bool = False
    outstanding: int = 0
    turn: int = 0
    missed: int = 0
    heard_at: float = -math.inf
    """When the health check began that it answered last."""
    retired: bool = False
    adapters: AdapterUse = field(default_factory=AdapterUse)
    unanswered: "set[Lease]" = field(default_factory=set)
    """Those for which nothing of an answer has come yet."""

    def __post_init__(self) -> None:
        # Each request reads them of each engine.
        self.name, self.concurrency = self.spec.name, self.spec.concurrency
        self.priority, self.weight = self.spec.priority, self.spec.weight
        OUTSTANDING.labels(self.name).set_function(lambda: self.outstanding)

    @property
    def is_down(self) -> bool:
        """Whether its health checks say so."""
        return self.missed >= _CHECKS_MISSED

    def usable(self, now: float) -> bool:
        return self.up and not self.retired and self.breaker.allows(now)


@dataclass(eq=False)
class Lease:
    """The right to one request on an engine. Every lease is released once; `failed` may come before."""

    member: Member
    route: Route
    _pool: "EnginePool"
    lost: bool = False
    """Whether the engine fell silent before it answered, so that the wait for it was ended."""
    _limit: Limit | None = None
    _open: bool = True

    @property
    def adapter(self) -> str | None:
        """The adapter that the request is for."""
        return self.route.model if self.route.adapter is not None else None

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def engine(self) -> Engine:
        return self.member.engine

    def succeeded(self) -> None:
        self.member.breaker.succeed()

    def failed(self, failure: EngineFailure) -> None:
        """Tells the pool what became of the request, and the caller which engine it was."""
        failure.metadata.setdefault("engine", self.name)
        if failure.trait.breaks:
            self._pool.broke(self.member)
        elif failure.trait.answered:
            self.member.breaker.succeed()
        if failure.kind is FailureKind.CONNECTION:
            self._pool.suspect(self.member)

    def awaits(self, limit: Limit) -> None:
        """Nothing of the answer has come yet: until it is `heard`, `give_up` ends the wait by its `limit`."""
        self._limit = limit
        self.member.unanswered.add(self)

    def heard(self) -> None:
        self.member.unanswered.discard(self)

    def give_up(self) -> None:
        """The engine has fallen silent: whoever waits for it may ask another."""
        if self._limit is not None:
            self.lost = True
            self._limit.end()

    def release(self) -> None:
        if self._open:
            self._open = False
            if self.adapter is not None:
                self.member.adapters.end(self.adapter)
            self._pool.release(self.member)


@dataclass(eq=False)
class _Waiter:
    """One who waits in line. The lease is None where none came in time."""

    route: Route
    prefix: Sequence[int]
    lease: "asyncio.Future[Lease | None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, lease: Lease | None) -> None:
        if not self.lease.done():
            self.lease.set_result(lease)


class EnginePool:
    """Gives requests to engines and keeps the catalogue at what they list.

    `connect` makes the client of an engine. Call `run` in the background.
    """

    def __init__(self, catalogue: Catalogue, connect: Callable[[EngineSpec], Engine], limits: PoolLimits) -> None:
        self._catalogue = catalogue
        self._connect = connect
        self._limits = limits
        self._members: dict[str, Member] = {}
        self._waiting: deque[_Waiter] = deque()
        self._prefixes = Prefixes()
        self._turns = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0
        self._fell = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    # Who belongs to it

    async def apply(self, specs: Sequence[EngineSpec], remembered: Iterable[tuple[str, ModelCard]] = ()) -> None:
        """Makes these the engines. Those that changed are replaced; their requests finish first.

        `remembered` models of engines stand until the engine lists its own.
        """
        kept = {spec.name for spec in specs}
        for name in [name for name in self._members if name not in kept]:
            self._retire(self._members.pop(name))
            self._catalogue.remove_engine(name)
        added = []
        for spec in specs:
            known = self._members.get(spec.name)
            if known is not None and known.spec == spec:
                known.last_used = max(filter(None, (known.last_used, spec.last_used)), default=None)
                continue
            if known is not None:
                self._retire(known)
            self._members[spec.name] = member = self._member(spec)
            self._catalogue.put_engine(spec, [card for engine, card in remembered if engine == spec.name])
            added.append(member)
        await asyncio.gather(*(self._check(member) for member in added))

    def members(self) -> list[Member]:
        return list(self._members.values())

    def member(self, name: str) -> Member | None:
        return self._members.get(name)

    def specs(self) -> list[EngineSpec]:
        return [member.spec for member in self._members.values()]

    def is_up(self, name: str) -> bool:
        member = self._members.get(name)
        return member is not None and member.up

    def heard_at(self) -> float:
        """The moment, of the monotonic clock, since which every engine that takes adapters and is not down was asked
        what it holds, and has answered."""
        asked = [member for member in self._members.values() if member.spec.takes_adapters and not member.is_down]
        return min((member.heard_at for member in asked), default=math.inf)

    def has_alternative(self, route: Route, avoid: Collection[str]) -> bool:
        """Whether an engine that was not avoided could take the route now."""
        now = time.monotonic()
        return any(member.usable(now) and member.name not in avoid for member in self._candidates(route))

    def best(self, route: Route) -> Member | None:
        """The engine that suits best, whether or not it has room; None when none is usable."""
        now = time.monotonic()
        usable = [member for member in self._candidates(route) if member.usable(now)]
        return min(usable, key=lambda member: (-member.priority, *load(member)), default=None)

    # Leases

    async def lease(
        self, route: Route, *, avoid: Collection[str] = (), prefix: Sequence[int] = (), timeout: float
    ) -> Lease:
        """An engine for one request: at once, or after a wait of `timeout` seconds at most.

        `avoid`ed engines are taken only if no other can, and one that has seen the `prefix` before others. Raises
        `EngineFailure`: OVERLOADED when the line is full or the wait too long, CONNECTION when every engine of the
        route has been down for a while.
        """
        if (lease := self._try(route, prefix, avoid)) is not None:
            return lease
        patience = self._patience(route)
        if patience <= 0:
            raise self._unavailable(route)
        if len(self._waiting) >= self._limits.queue:
            raise EngineFailure(FailureKind.OVERLOADED, "Too many requests wait for an engine", retry_after=1.0)
        return await self._wait(_Waiter(route, prefix), min(patience, timeout))

    def release(self, member: Member) -> None:
        member.outstanding -= 1
        member.breaker.abandon()
        if member.retired:
            if member.outstanding == 0:
                self._close(member)
        else:
            self._dispatch()

    def broke(self, member: Member) -> None:
        """A request failed by the engine's fault. Who waits for its trial is not kept longer than its pause."""
        now = time.monotonic()
        member.breaker.fail(now)
        if member.breaker.is_open:
            asyncio.get_running_loop().call_later(member.breaker.open_until - now, self._dispatch)

    def suspect(self, member: Member) -> None:
        """A connection failed: nothing more goes there until its health check, which follows at once, succeeds."""
        self._set_up(member, False)

    async def _wait(self, waiter: _Waiter, timeout: float) -> Lease:
        self._waiting.append(waiter)
        QUEUE_LENGTH.set(len(self._waiting))
        started = time.monotonic()
        timer = asyncio.get_running_loop().call_later(timeout, waiter.give, None)
        try:
            lease = await waiter.lease
        except asyncio.CancelledError:
            # The lease may have been given in the very moment in which the caller left.
            if not waiter.lease.cancelled() and (given := waiter.lease.result()) is not None:
                given.release()
            raise
        finally:
            timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            QUEUE_LENGTH.set(len(self._waiting))
            QUEUE_SECONDS.observe(time.monotonic() - started)
        if lease is None:
            raise self._unavailable(waiter.route)
        return lease

    def _unavailable(self, route: Route) -> EngineFailure:
        if any(member.up for member in self._candidates(route)):
            kind, message = FailureKind.OVERLOADED, f"No engine was free for {route.name!r} in time"
            return EngineFailure(kind, message, retry_after=1.0)
        kind, message = FailureKind.CONNECTION, f"No engine that serves {route.name!r} is available at the moment"
        return EngineFailure(kind, message, retry_after=self._limits.check_interval)

    def _patience(self, route: Route) -> float:
        """How long waiting makes sense: for an engine that works, the line's limit; for one that just died, shorter."""
        now = time.monotonic()
        return max((self._patience_with(member, now) for member in self._candidates(route)), default=0.0)

    def _patience_with(self, member: Member, now: float) -> float:
        if not member.up:
            return self._limits.patience - (now - member.down_since)
        if member.breaker.is_open:
            soon = member.breaker.open_until - now <= self._limits.patience
            return self._limits.patience if soon else 0.0
        return self._limits.queue_seconds

    def _candidates(self, route: Route) -> list[Member]:
        members = [member for name in route.engines if (member := self._members.get(name)) is not None]
        if route.adapter is None:
            return members
        # To wait for an engine that has the adapter beats loading it onto one more, but for one of higher priority.
        now = time.monotonic()
        usable = [member for member in members if member.usable(now)]
        highest = max((member.priority for member in usable), default=0)
        holding = [m for m in usable if m.priority == highest and self._catalogue.holds(m.name, route.model)]
        return holding or members

    def _try(self, route: Route, prefix: Sequence[int], avoid: Collection[str] = ()) -> Lease | None:
        now = time.monotonic()
        usable = [member for member in self._candidates(route) if member.usable(now)]
        preferred = [member for member in usable if member.name not in avoid] if avoid else usable
        holders = self._prefixes.holders(prefix) if prefix else ()
        member = choose(preferred, holders) or choose(usable, holders)
        if member is None:
            return None
        if prefix:
            self._prefixes.note(prefix, member.name)
        self._turns += 1
        member.turn = self._turns
        member.outstanding += 1
        member.last_used = datetime.now(UTC)
        member.breaker.start()
        if route.adapter is not None:
            member.adapters.begin(route.model)
        return Lease(member, route, self)

    def _dispatch(self) -> None:
        """Gives what has become free to those who wait, first come first served."""
        if not self._waiting:
            return
        left: deque[_Waiter] = deque()
        full: set[int] = set()
        for waiter in self._waiting:
            if waiter.lease.done():
                continue
            # Where there is no room for one, there is none for those behind who want the same: a name has one route.
            route = id(waiter.route)
            if route in full or (lease := self._try(waiter.route, waiter.prefix)) is None:
                full.add(route)
                left.append(waiter)
            else:
                waiter.give(lease)
        self._waiting = left
        QUEUE_LENGTH.set(len(self._waiting))

    # Health and discovery

    async def run(self) -> None:
        """Checks all engines every interval, and at once when one goes down, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._limits.check_interval):
                    await self._fell.wait()
                self._fell.clear()
                await self._look_after_fallen()
            except TimeoutError:
                await asyncio.gather(*(self._check(member) for member in self.members()))

    async def refresh(self) -> None:
        """Asks all engines for their models now; at most once a second, however many call it."""
        if self._refreshing is None:
            if time.monotonic() - self._refreshed_at < _REFRESH_AT_MOST_EVERY:
                return
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        for waiter in self._waiting:
            waiter.give(None)
        await asyncio.gather(*(member.engine.close() for member in self._members.values()), *self._closing)

    async def _refresh(self) -> None:
        try:
            await asyncio.gather(*(self._check(member) for member in self.members()))
        finally:
            self._refreshed_at = time.monotonic()
            self._refreshing = None

    async def _look_after_fallen(self) -> None:
        """Checks engines that are down often, for as long as callers have patience: a crashed one is back soon."""
        deadline = time.monotonic() + self._limits.patience
        while down := [member for member in self.members() if not member.up]:
            await asyncio.gather(*(self._check(member) for member in down))
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_RECHECK_SECONDS)

    async def _check(self, member: Member) -> None:
        began = time.monotonic()
        try:
            cards = await member.engine.models()
        except EngineFailure as failure:
            self._missed(member, failure, began)
            return
        if member.retired:
            return
        self._catalogue.put_engine(member.spec, cards)
        self._heard(member, began)

    def _heard(self, member: Member, began: float) -> None:
        member.missed, member.heard_at = 0, began
        self._set_up(member, True)

    def _missed(self, member: Member, failure: EngineFailure, began: float) -> None:
        if failure.kind is FailureKind.TIMEOUT or isinstance(failure.__cause__, TimeoutError):
            member.missed += 1
            if member.is_down:
                self._set_up(member, False)
                self._hand_over(member)
        elif failure.kind in (FailureKind.CONNECTION, FailureKind.OVERLOADED):
            member.missed = _CHECKS_MISSED
            self._set_up(member, False)
        else:
            # It answers, it only does not list its models, as some providers do not without a right token.
            self._heard(member, began)

    def _hand_over(self, member: Member) -> None:
        """An engine that hangs, or whose machine is gone, breaks no connection: others get what it did not answer."""
        for lease in list(member.unanswered):
            if self.has_alternative(lease.route, {member.name}):
                lease.give_up()

    def _set_up(self, member: Member, up: bool) -> None:
        if member.retired:
            return
        if member.up != up:
            member.up = up
            member.down_since = time.monotonic()
            _log.info("engine_up" if up else "engine_down", engine=member.name)
            if up:
                self._catalogue.engine_started(member.name)
            else:
                self._fell.set()
        ENGINE_UP.labels(member.name).set(up)
        if up:
            self._dispatch()

    def _member(self, spec: EngineSpec) -> Member:
        breaker = Breaker(self._limits.breaker_failures, self._limits.breaker_cooldown)
        return Member(spec, self._connect(spec), breaker, down_since=time.monotonic(), last_used=spec.last_used)

    def _retire(self, member: Member) -> None:
        member.retired = True
        if member.name not in self._members:
            # One that was removed on purpose is not down, and nothing may hold on to it.
            ENGINE_UP.remove(member.name)
            OUTSTANDING.remove(member.name)
        if member.outstanding == 0:
            self._close(member)

    def _close(self, member: Member) -> None:
        task = asyncio.create_task(member.engine.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
