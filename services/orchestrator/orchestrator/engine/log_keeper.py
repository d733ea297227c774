"""Keeps the logs of runs: writes what comes through the LOGS stream, and deletes what is old."""

import asyncio

from common.bus import Bus, Delivered
from common.database import Database
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.orchestrator import LogEntry, LogRecord
from contracts.topology import ORCHESTRATOR_LOGS
from orchestrator.domain.logs import kept
from orchestrator.store import logs

_log = get_logger("log_keeper")
_HOUR = 3600.0
_DELETED_AT_ONCE = 5000


class LogKeeper:
    """`retention` is how long a line is kept, in seconds."""

    def __init__(self, database: Database, bus: Bus, *, retention: float) -> None:
        self._database = database
        self._bus = bus
        self._retention = retention

    async def write(self) -> None:
        """Writes until cancelled. A line is acknowledged once it is kept, and kept once however often it comes."""
        await self._bus.consume(ORCHESTRATOR_LOGS, self._insert)

    async def _insert(self, lines: list[Delivered[LogRecord]]) -> None:
        entries = [LogEntry(sequence=line.sequence, record=kept(line.body)) for line in lines]
        async with self._database.connection() as connection:
            await logs.insert(connection, entries)

    async def expire(self) -> None:
        """Deletes old lines every hour, until cancelled."""
        while True:
            try:
                while await self.delete_old() == _DELETED_AT_ONCE:
                    pass
            except Refused as refusal:
                _log.warning("retention_waits", error=refusal.message)
            await asyncio.sleep(_HOUR)

    async def delete_old(self) -> int:
        """Deletes one batch of lines that are past their time; how many."""
        async with self._database.connection() as connection:
            return await logs.delete_older(connection, seconds=self._retention, limit=_DELETED_AT_ONCE)
