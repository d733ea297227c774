"""Limits that hold exactly over all processes of a service and cost no network for most of what they admit.

One row of Postgres counts what has been handed out of each limit in its window. A process takes a slice of what is
left, spends it in memory, and gives the rest back: when another process wants it, when it lies idle, and at the end. So
never more than the limit is admitted, and nothing is refused while a part of it lies unspent elsewhere, but for what
a process held that was killed.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple

from common.bus import Bus, BusDown
from common.database import Database
from common.telemetry import Counter, get_logger
from contracts.base import Event, RefusalCode, Refused
from contracts.gateway import AllowanceWanted

Window = Literal["minute", "day", "month", "total"]

_log = get_logger("allowances")
_SHARE = 8
"""A slice is this part of what is left, so slices shrink as the limit comes near and little lies elsewhere then."""
_ANSWER_SECONDS = 1.0
_RECALL_SECONDS = 0.05
"""How long other processes have to give back before a limit counts as reached."""
_DRY_SECONDS = 0.5
"""How long a reached limit is not asked for again."""
_ALONE_SECONDS = 60.0
"""The longest window of a process that cannot reach the database."""
_PURGE_SECONDS = 300.0
_KEPT = "1 hour"

LEASES = Counter("allowance_leases_total", "Slices of limits asked for", ["outcome"])

_TAKE = f"""
WITH moment AS (
    SELECT clock_timestamp() AS now
), span AS (
    SELECT CASE WHEN $4 = 'total' THEN 'epoch'::timestamptz ELSE date_trunc($4, now, 'UTC') END AS starts_at,
           CASE WHEN $4 = 'total' THEN NULL
                ELSE (date_trunc($4, now AT TIME ZONE 'UTC') + ('1 ' || $4)::interval) AT TIME ZONE 'UTC'
           END AS ends_at
    FROM moment
), slice AS (
    SELECT CASE WHEN $2::bigint < $3::bigint THEN 0 ELSE least($2, greatest($3, $2 / {_SHARE})) END AS size
)
INSERT INTO allowances AS a (account, starts_at, ends_at, taken, granted)
SELECT $1, starts_at, ends_at, size, size FROM span, slice
ON CONFLICT (account, starts_at) DO UPDATE SET (taken, granted) = (
    SELECT a.taken + size, size
    FROM (SELECT CASE WHEN $2 - a.taken < $3 THEN 0
                      ELSE least($2 - a.taken, greatest($3, ($2 - a.taken) / {_SHARE})) END AS size) AS slice)
RETURNING taken, granted, starts_at, ends_at, clock_timestamp() AS now
"""  # noqa: S608 - a constant of this module
_ADD = "UPDATE allowances SET taken = greatest(taken + $3, 0) WHERE account = $1 AND starts_at = $2"


class Limit(NamedTuple):
    """At most `most` of something for `account` in each window of the UTC calendar."""

    account: str
    most: int
    window: Window


class Standing(NamedTuple):
    """How an account stands with its limit, as far as this process knows: `remaining` may be spent elsewhere already.

    `resets_at` is a Unix time; None for a limit that never starts anew. `starts_at` is the window that was spent from.
    """

    admitted: bool
    limit: int
    remaining: int
    resets_at: int | None
    starts_at: datetime | None


@dataclass(slots=True)
class _Slice:
    """What this process may spend of a limit. `until`, `dry_until` and `used_at` are moments of the monotonic clock.

    `starts_at` names the row it is from; None for a slice that the process gave itself. `left` is what the row
    has left.
    """

    most: int
    starts_at: datetime | None
    resets_at: int | None
    until: float
    used_at: float
    left: int = 0
    unspent: int = 0
    dry_for: int = 0
    dry_until: float = 0.0


class Allowances:
    """This process's slices. Two services never share an account: each has its own table.

    While the database is away a `strict` limit refuses what its slice does not cover, as UNAVAILABLE; any other is kept
    by each process on its own, so that at most the limit times the number of processes is admitted.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        wanted: Event[AllowanceWanted],
        *,
        strict: bool,
        idle_seconds: float = 30.0,
    ) -> None:
        self._database = database
        self._bus = bus
        self._wanted = wanted
        self._strict = strict
        self._idle_seconds = idle_seconds
        self._me = uuid.uuid4().hex
        self._slices: dict[str, _Slice] = {}
        self._leasing: dict[str, asyncio.Task[None]] = {}
        self._corrections: dict[tuple[str, datetime], int] = {}

    def spend(self, limit: Limit, amount: int = 1) -> Standing | None:
        """Spends `amount` of what this process holds, or says that the limit is reached; None when it does not know."""
        held = self._slices.get(limit.account)
        now = time.monotonic()
        if held is None or now >= held.until or held.most != limit.most:
            return None
        if held.unspent >= amount:
            held.unspent -= amount
            held.used_at = now
            return Standing(True, held.most, held.left + held.unspent, held.resets_at, held.starts_at)
        if amount >= held.dry_for and now < held.dry_until:
            return Standing(False, held.most, held.left + held.unspent, held.resets_at, held.starts_at)
        return None

    async def take(self, limit: Limit, amount: int = 1) -> Standing:
        """Spends `amount` if the limit allows it. Raises `Refused(UNAVAILABLE)` if a strict limit cannot be asked."""
        while (standing := self.spend(limit, amount)) is None:
            if (leasing := self._leasing.get(limit.account)) is None:
                leasing = self._leasing[limit.account] = asyncio.create_task(self._lease(limit, amount))
                leasing.add_done_callback(partial(self._leased, limit.account))
            # What it brings belongs to everybody who waits for it, also if one of them goes away.
            await asyncio.shield(leasing)
        return standing

    def correct(self, limit: Limit, standing: Standing, amount: int) -> None:
        """Counts `amount` more, or less, where it is negative, than was spent with `standing`, limit or not."""
        held = self._slices.get(limit.account)
        if held is not None and held.starts_at == standing.starts_at and time.monotonic() < held.until:
            here = min(amount, held.unspent)
            held.unspent -= here
            held.dry_until = 0.0
            amount -= here
        if amount and standing.starts_at is not None:
            key = limit.account, standing.starts_at
            self._corrections[key] = self._corrections.get(key, 0) + amount

    # Leasing

    def _leased(self, account: str, leasing: "asyncio.Task[None]") -> None:
        del self._leasing[account]
        if not leasing.cancelled():
            # Read here, since those who waited for it may be gone.
            leasing.exception()

    async def _lease(self, limit: Limit, amount: int) -> None:
        """Leaves a slice that holds `amount`, or one that says that the limit is reached."""
        try:
            held = await self._ask(limit, amount)
            if held.unspent < amount:
                await self._recall(limit.account)
                held = await self._ask(limit, amount)
        except (Refused, TimeoutError) as error:
            LEASES.labels("away").inc()
            _log.warning("limits_not_reached", error=str(error) or type(error).__name__)
            if self._strict:
                raise Refused(RefusalCode.UNAVAILABLE, "The budget cannot be checked at the moment") from None
            self._go_on_alone(limit, amount)
            return
        if held.unspent < amount:
            held.dry_for, held.dry_until = amount, time.monotonic() + _DRY_SECONDS
        LEASES.labels("granted" if held.unspent >= amount else "reached").inc()

    async def _ask(self, limit: Limit, amount: int) -> _Slice:
        held = self._slices.get(limit.account)
        if held is not None and held.most != limit.most:
            # The limit was changed: what is held was cut from the old one.
            await self._give_back([limit.account])
        # Taken before the question, so that by our clock a window never ends later than by the database's.
        asked = time.monotonic()
        unspent = held.unspent if held is not None and asked < held.until else 0
        async with asyncio.timeout(_ANSWER_SECONDS), self._database.connection() as connection:
            row = await connection.fetchrow(_TAKE, limit.account, limit.most, max(amount - unspent, 1), limit.window)
        assert row is not None  # noqa: S101 - an insert that returns
        ends_at: datetime | None = row["ends_at"]
        held = self._slices.get(limit.account)
        if held is None or held.starts_at != row["starts_at"] or held.most != limit.most:
            held = self._slices[limit.account] = _Slice(
                most=limit.most,
                starts_at=row["starts_at"],
                resets_at=None if ends_at is None else math.ceil(ends_at.timestamp()),
                until=math.inf if ends_at is None else asked + (ends_at - row["now"]).total_seconds(),
                used_at=asked,
            )
        held.unspent += row["granted"]
        held.left = limit.most - row["taken"]
        return held

    def _go_on_alone(self, limit: Limit, amount: int) -> None:
        held = self._slices.get(limit.account)
        is_alone = held is not None and held.starts_at is None and time.monotonic() < held.until
        if held is not None and is_alone and held.most == limit.most:
            held.dry_for, held.dry_until = amount, held.until
        else:
            self._slices[limit.account] = _alone(limit)

    async def _recall(self, account: str) -> None:
        """Asks all other processes to give back what they do not spend."""
        with suppress(BusDown):
            body = AllowanceWanted(account=account, wanted_by=self._me)
            await self._bus.publish(self._wanted, body, message_id=uuid.uuid4().hex)
            await asyncio.sleep(_RECALL_SECONDS)

    # Giving back

    async def follow_wanted(self) -> None:
        """Gives back what other processes want, until cancelled."""
        async for delivered in self._bus.follow(self._wanted):
            if delivered.body.wanted_by != self._me:
                await self._give_back([delivered.body.account])

    async def sweep(self) -> None:
        """Writes corrections, gives back what lies idle, forgets what is over; until cancelled."""
        purge_at = 0.0
        while True:
            await asyncio.sleep(1.0)
            await self._write_corrections()
            now = time.monotonic()
            idle = {a for a, held in self._slices.items() if now - held.used_at > self._idle_seconds}
            await self._give_back(idle)
            over = [a for a, held in self._slices.items() if now >= held.until or (a in idle and not held.unspent)]
            for account in over:
                if account not in self._leasing:
                    del self._slices[account]
            if now >= purge_at:
                purge_at = now + _PURGE_SECONDS
                await self._purge()

    async def close(self) -> None:
        """Gives everything back."""
        await self._write_corrections()
        await self._give_back(list(self._slices))

    async def _write_corrections(self) -> None:
        corrections, self._corrections = self._corrections, {}
        if not await self._add([(account, window, amount) for (account, window), amount in corrections.items()]):
            for key, amount in corrections.items():
                self._corrections[key] = self._corrections.get(key, 0) + amount

    async def _give_back(self, accounts: Iterable[str]) -> None:
        rows: list[tuple[str, datetime, int]] = []
        now = time.monotonic()
        for account in accounts:
            held = self._slices.get(account)
            if held is not None and held.starts_at is not None and held.unspent > 0 and now < held.until:
                rows.append((account, held.starts_at, -held.unspent))
                held.left += held.unspent
                held.unspent = 0
        # What cannot be given back stays taken: too little is admitted then, never too much.
        await self._add(rows)

    async def _add(self, rows: list[tuple[str, datetime, int]]) -> bool:
        """Whether the database took them."""
        if not rows:
            return True
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._database.connection() as connection:
                await connection.executemany(_ADD, rows)
        except (Refused, TimeoutError) as error:
            _log.warning("allowances_not_written", count=len(rows), error=str(error) or type(error).__name__)
            return False
        return True

    async def _purge(self) -> None:
        with suppress(Refused):
            async with self._database.connection() as connection:
                await connection.execute(
                    "DELETE FROM allowances WHERE ends_at < clock_timestamp() - $1::text::interval", _KEPT
                )


def _alone(limit: Limit) -> _Slice:
    """What a process allows itself while it cannot ask: the whole limit, for a minute at most."""
    now = time.time()
    seconds = _ALONE_SECONDS - now % _ALONE_SECONDS
    monotonic = time.monotonic()
    return _Slice(
        most=limit.most,
        starts_at=None,
        resets_at=math.ceil(now + seconds),
        until=monotonic + seconds,
        used_at=monotonic,
        unspent=limit.most,
    )
