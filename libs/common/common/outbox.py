"""Events told exactly when their transaction commits: rows of the `outbox` table of every schema, and their relay."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.bus import Bus, BusDown
from common.database import Connection, Database
from common.telemetry import Gauge, get_logger
from common.tracing import inject
from contracts.base import BodyT, Event, RefusalCode, Refused

OLDEST = Gauge("outbox_oldest_seconds", "Age of the oldest event that is committed and not told yet")

_log = get_logger("outbox")
_BATCH = 500
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Told:
    """An event ready to be told: see `telling`."""

    subject: str
    message_id: str
    payload: bytes


def telling(event: Event[BodyT], body: BodyT, *, message_id: str, key: str | None = None) -> Told:
    """Raises `Refused(TOO_LARGE)` for what the bus would never take: it would hold up all that is told after it."""
    payload = body.model_dump_json().encode()
    if len(payload) > _MOST_BYTES:
        raise Refused(RefusalCode.TOO_LARGE, f"{event.subject} cannot be told of {len(payload)} bytes")
    return Told(event.subject_for(key), message_id, payload)


async def add(
    connection: Connection, event: Event[BodyT], body: BodyT, *, message_id: str, key: str | None = None
) -> None:
    """Tells `body` once the transaction of `connection` has committed. JetStream drops a repeated `message_id`."""
    await add_many(connection, [telling(event, body, message_id=message_id, key=key)])


async def add_many(connection: Connection, events: Sequence[Told]) -> None:
    """As `add`, for several events in one round trip."""
    if not events:
        return
    headers = inject({})
    await connection.executemany(
        "INSERT INTO outbox (subject, message_id, headers, payload) VALUES ($1, $2, $3, $4)",
        [(event.subject, event.message_id, headers, event.payload) for event in events],
    )


_TAKE_TURN = """
    SELECT set_config('idle_in_transaction_session_timeout', $1, true),
        pg_advisory_xact_lock(hashtext('outbox:' || current_schema()))
"""
_LONGEST_TURN = "10s"
"""A replica that is stopped in its turn loses it after so long: the bus is waited for no longer than half of that."""


class OutboxRelay:
    """Publishes outbox rows in their order and deletes them. Replicas take turns, so that none overtakes another.

    `kick()` after a commit makes it look at once; without, it looks every `interval` seconds.
    """

    def __init__(self, database: Database, bus: Bus, *, interval: float = 0.5) -> None:
        self._database = database
        self._bus = bus
        self._interval = interval
        self._kicked = asyncio.Event()
        self._begun = 0
        self._emptied = 0
        """The last round that left nothing."""

    def kick(self) -> None:
        self._kicked.set()

    def mark(self) -> int:
        """This moment: see `has_told`."""
        return self._begun

    def has_told(self, mark: int) -> bool:
        """Whether all is known to be told that was committed, by whichever replica, before `mark` was taken."""
        return self._emptied > mark

    async def run(self) -> None:
        """Relays until cancelled. A database or bus that is away is waited for."""
        while True:
            try:
                relayed = await self.relay_once()
            except (Refused, BusDown) as error:
                _log.warning("relay_waits", error=str(error))
                relayed = 0
                await asyncio.sleep(self._interval)
            if relayed < _BATCH:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._kicked.wait()
        except TimeoutError:
            return
        finally:
            self._kicked.clear()

    async def relay_once(self) -> int:
        """Publishes up to one batch; how many rows that were."""
        self._begun = this = self._begun + 1
        relayed = await self._relay_batch()
        if relayed < _BATCH:
            self._emptied = this
        return relayed

    async def _relay_batch(self) -> int:
        async with self._database.transaction() as connection:
            await connection.execute(_TAKE_TURN, _LONGEST_TURN)
            rows = await connection.fetch(
                "SELECT id, subject, message_id, headers, payload, created_at FROM outbox ORDER BY id LIMIT $1", _BATCH
            )
            OLDEST.set(max(0.0, time.time() - rows[0]["created_at"].timestamp()) if rows else 0)
            if not rows:
                return 0
            await self._bus.publish_raw_many(
                [(row["subject"], row["payload"], row["headers"], row["message_id"]) for row in rows]
            )
            await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
            return len(rows)
