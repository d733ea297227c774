"""The run's log on its way to the bus: batched but prompt, in order, and never in the way of the work."""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime

from common.bus import Bus, BusDown
from common.telemetry import Counter, get_logger
from contracts.orchestrator import LOG_RECORDED, ClaimedStep, LogLevel, LogRecord

_log = get_logger("run_log")
_DROPPED = Counter("trainer_log_records_dropped_total", "Log records given up because the bus was away for too long")
_GATHER_SECONDS = 0.05
_RETRY_SECONDS = 0.5
_BATCH = 500
_MOST_WAITING = 50_000
_LONGEST_MESSAGE = 8000


class RunLog:
    """Records wait in memory until the bus has taken them; beyond a limit the oldest are given up, and counted."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[tuple[str | None, str, LogRecord]] = deque()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def of(self, step: ClaimedStep) -> "StepLog":
        """The log of one attempt at a step."""
        return StepLog(self, step)

    def add(self, message_id: str, record: LogRecord) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            _DROPPED.inc()
        self._waiting.append((record.run_id, message_id, record))
        self._empty.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Publishes until cancelled. What the bus may already have goes out again under its own id, which it drops."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._arrived.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                await self._publish(batch)
            self._empty.set()

    async def drained(self, timeout: float) -> None:
        """Waits until all is published, at most `timeout` seconds: so a run's log ends before the run does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._empty.wait()

    async def _publish(self, batch: list[tuple[str | None, str, LogRecord]]) -> None:
        while True:
            try:
                return await self._bus.publish_many(LOG_RECORDED, batch)
            except BusDown as error:
                _log.warning("log_waits", records=len(batch) + len(self._waiting), error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)


class StepLog:
    """Numbers the records of one attempt, so that each is kept once."""

    def __init__(self, log: RunLog, step: ClaimedStep) -> None:
        self._log = log
        self._step = step
        self._count = 0

    def say(self, level: LogLevel, message: str) -> None:
        """A record of the worker's own."""
        step = self._step
        self.record(
            LogRecord(
                run_id=step.run_id,
                timestamp=datetime.now(UTC),
                agent=step.agent_class,
                agent_name=step.agent_name,
                level=level,
                message=message,
            )
        )

    def record(self, record: LogRecord) -> None:
        if len(record.message) > _LONGEST_MESSAGE:
            record = record.model_copy(update={"message": record.message[:_LONGEST_MESSAGE] + "…"})
        self._count += 1
        self._log.add(f"{self._step.step_id}.{self._step.fence}.{self._count}", record)
