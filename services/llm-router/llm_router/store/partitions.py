"""The days of the interactions: each has a partition, made ahead, and dropped when its time is over."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from common.database import Connection

_NAME = "interactions_%Y%m%d"
_LOCK_TIMEOUT = "3s"
"""Dropping a day waits for those who read it, and those who come then wait for the drop: better to come again."""


async def make_days(connection: Connection, days: Iterable[date]) -> None:
    """Makes the partitions that are missing. Needs a transaction; replicas that do so at once wait for each other."""
    await _take_turns(connection)
    known = await list_days(connection)
    for day in sorted(set(days) - set(known)):
        name, first, end = day.strftime(_NAME), _midnight(day), _midnight(day + timedelta(days=1))
        # Attaching a table lets others go on reading and writing; making it as a partition would not.
        await connection.execute(f"CREATE TABLE {name} (LIKE interactions INCLUDING ALL)")
        await connection.execute(
            f"ALTER TABLE interactions ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')"
        )


async def drop_days(connection: Connection, before: date) -> list[date]:
    """Drops the days before that one; which. Needs a transaction.

    When somebody reads one of them for long, nothing is dropped, and the connection raises `Refused(UNAVAILABLE)`.
    """
    await _take_turns(connection)
    over = [day for day in await list_days(connection) if day < before]
    for day in over:
        await connection.execute(f"DROP TABLE {day.strftime(_NAME)}")
    return over


async def list_days(connection: Connection) -> list[date]:
    """The days that have a partition, oldest first."""
    rows = await connection.fetch(
        "SELECT child.relname AS name FROM pg_inherits"
        " JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = 'interactions'::regclass ORDER BY 1"
    )
    return [datetime.strptime(row["name"], _NAME).replace(tzinfo=UTC).date() for row in rows]


async def _take_turns(connection: Connection) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('llm_router.interactions'))")


def _midnight(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat()
