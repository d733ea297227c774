"""Migrations and transactions on a real Postgres."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from common import outbox
from common.bus import Bus
from common.database import Database
from common.outbox import OutboxRelay
from common.settings import ServiceSettings
from contracts import orchestrator
from contracts.base import Refused


@pytest.fixture
async def database(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Database]:
    url = settings_of("gateway").database_url.get_secret_value()
    database = await Database.connect(url, "gateway", size=4)
    yield database
    await database.close()


async def test_replicas_that_start_at_once_migrate_once(settings_of: Callable[[str], ServiceSettings]) -> None:
    url = settings_of("gateway").database_url.get_secret_value()
    replicas = [await Database.connect(url, "gateway", size=2) for _ in range(4)]
    await asyncio.gather(*(replica.migrate("common") for replica in replicas))
    async with replicas[0].connection() as connection:
        rows = await connection.fetch("SELECT name FROM schema_migrations WHERE name LIKE 'common/%' ORDER BY name")
    assert [row["name"] for row in rows] == ["common/001_outbox.sql", "common/002_allowances.sql"]
    await asyncio.gather(*(replica.close() for replica in replicas))


async def test_a_role_cannot_read_the_schema_of_another(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute("CREATE TABLE orchestrator.mine (id int)")


async def test_a_database_that_is_away_is_told_as_unavailable(database: Database) -> None:
    with pytest.raises(Refused, match="not available"):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await database.ping()


async def test_an_event_is_told_when_its_transaction_commits_and_only_then(
    settings_of: Callable[[str], ServiceSettings],
) -> None:
    settings = settings_of("orchestrator")
    database = await Database.connect(settings.database_url.get_secret_value(), "orchestrator", size=4)
    await database.migrate("common")
    bus = await Bus.connect(settings, "orchestrator")
    relay = OutboxRelay(database, bus)
    body = orchestrator.JobEnded(job_id="job_a", run_id="a", status="completed")
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await outbox.add(connection, orchestrator.JOB_ENDED, body, message_id="never")
            raise RuntimeError("rolled back")
    async with database.transaction() as connection:
        await outbox.add(connection, orchestrator.JOB_ENDED, body, message_id="once")
    assert await relay.relay_once() == 1
    assert await relay.relay_once() == 0
    await bus.close()
    await database.close()


async def test_replicas_tell_together_in_the_order_of_what_happened(
    settings_of: Callable[[str], ServiceSettings],
) -> None:
    settings, key, number = settings_of("orchestrator"), uuid.uuid4().hex, 2500
    database = await Database.connect(settings.database_url.get_secret_value(), "orchestrator", size=8)
    await database.migrate("common")
    buses = [await Bus.connect(settings, "orchestrator") for _ in range(3)]
    reader = await Bus.connect(settings_of("gateway"), "gateway")
    end = await reader.end_of(orchestrator.LOG_RECORDED)
    lines = [
        orchestrator.LogRecord(run_id=key, timestamp=datetime.now(UTC), agent="a", level="INFO", message=str(n))
        for n in range(number)
    ]
    told = [
        outbox.telling(orchestrator.LOG_RECORDED, line, message_id=f"{key}.{line.message}", key=key) for line in lines
    ]
    async with database.transaction() as connection:
        await outbox.add_many(connection, told)
    slow = OutboxRelay(database, buses[0])
    mark = slow.mark()
    await slow.relay_once()
    assert not slow.has_told(mark)
    relays = [OutboxRelay(database, bus) for bus in buses for _ in range(2)]
    while sum(await asyncio.gather(*(relay.relay_once() for relay in relays))):
        pass
    await slow.relay_once()
    assert slow.has_told(mark)
    assert not slow.has_told(slow.mark())
    seen = [event.body.message async for event in reader.replay(orchestrator.LOG_RECORDED, key=key, after=end)]
    assert seen == [line.message for line in lines]
    await asyncio.gather(*(bus.close() for bus in (*buses, reader)), database.close())
