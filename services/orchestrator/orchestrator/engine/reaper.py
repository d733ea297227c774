"""Looks after what nobody looks after: steps and answers whose worker fell silent, and ready steps whose hint was lost.

Any number of replicas may reap: an expired step is checked again under the lock of its run, and hints skip locked rows.
"""

import asyncio

from common import outbox
from common.database import Connection
from common.telemetry import get_logger
from contracts.base import Refused
from orchestrator.deps import Deps
from orchestrator.domain.machine import Transition
from orchestrator.domain.outcomes import expire, overrun
from orchestrator.engine import announcements, direct, metrics
from orchestrator.engine.attention import Attention
from orchestrator.engine.recording import record, settled
from orchestrator.store import runs, steps, tasks

_log = get_logger("reaper")
_BATCH = 100
"""Steps a round: more wait for the next one, so that no round holds the database up."""


class Reaper:
    """Works every `interval` seconds."""

    def __init__(self, deps: Deps, *, interval: float) -> None:
        self._deps = deps
        self._interval = interval
        self._attention = Attention(deps.policy.lease)
        self._kinds: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Reaps until cancelled. A database that is away is waited for."""
        self._attention.begin()
        while True:
            try:
                await self.expire_leases()
                await self.end_silent_answers()
                await self.repeat_hints()
                await self.measure()
            except Refused as refusal:
                _log.warning("reaper_waits", error=refusal.message)
            await asyncio.sleep(self._interval)

    async def expire_leases(self) -> int:
        """Takes steps from silent workers; how many."""
        async with self._deps.database.connection() as connection:
            if not await self._attention.is_whole(connection):
                return 0
            expired = await steps.expired(connection, _BATCH)
        taken = [await self._expire(step_id, fence) for step_id, fence in expired]
        return sum(taken)

    async def _expire(self, step_id: int, fence: int) -> bool:
        async with self._deps.database.transaction() as connection:
            transition = await self._expiry(connection, step_id, fence)
            if transition is None:
                return False
            await record(connection, transition, self._deps.policy)
        settled(self._deps, transition)
        _log.warning("step_expired", step_id=step_id, fence=fence, run_id=transition.run.run_id)
        return True

    async def _expiry(self, connection: Connection, step_id: int, fence: int) -> Transition | None:
        """What becomes of the step, unless its worker came back or another replica was faster."""
        # A replica that stands still in the middle of a change holds up that run alone.
        run = await runs.lock_of_step(connection, step_id, or_skip=True)
        step = None if run is None else run.held(step_id, fence)
        if run is None or step is None or (passed := await steps.expiry(connection, step_id)) is None:
            return None
        if not await self._attention.is_whole(connection):
            # The database was away, or this process stood still, for so long that nobody could beat.
            return None
        limit, timeout_seconds = passed
        if limit == "deadline":
            return overrun(run, step, timeout_seconds)
        return expire(run, step, self._deps.policy, self._deps.chance())

    async def end_silent_answers(self) -> int:
        """Fails tasks whose answer nobody is making any more; how many."""
        async with self._deps.database.connection() as connection:
            if not await self._attention.is_whole(connection):
                return 0
            ended = await tasks.end_silent(connection, error=direct.SILENT, limit=_BATCH)
        if ended:
            _log.warning("answers_expired", task_ids=ended)
        return len(ended)

    async def repeat_hints(self) -> int:
        """Sends hints about ready steps that nobody has claimed; how many."""
        async with self._deps.database.transaction() as connection:
            hints = await steps.hint_again(connection, limit=_BATCH, pause=self._deps.policy.hint_pause)
            await outbox.add_many(connection, announcements.of_hints(hints))
        if hints:
            self._deps.relay.kick()
            metrics.HINTS_REPEATED.inc(len(hints))
        return len(hints)

    async def measure(self) -> None:
        """Sets the gauge of open steps, to zero where there were some and are none."""
        async with self._deps.database.connection() as connection:
            counts = await steps.open_counts(connection)
        self._kinds |= counts.keys()
        for kind, status in self._kinds:
            metrics.STEPS_OPEN.labels(kind, status).set(counts.get((kind, status), 0))
