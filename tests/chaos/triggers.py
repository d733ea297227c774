"""Schedules that are due every few seconds: whenever nothing keeps them busy, their next start is brought forward."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from tests.chaos.history import History
from tests.chaos.ledger import AWAY
from tests.chaos.stories import COMPLETED

_SHORTEST, _LONGEST = 0.5, 4.0
_PAUSE = 0.3

_BRING_FORWARD = """
    UPDATE orchestrator.schedules SET next_at = $2
    WHERE id = $1 AND next_at > $2 AND waiting_at IS NULL AND last_at IS DISTINCT FROM $2 AND (
        overlap = 'queue' OR NOT EXISTS (
            SELECT FROM orchestrator.workflow_runs JOIN orchestrator.runs ON runs.id = run
            WHERE workflow_runs.id = last_run AND status = 'active'
        )
    )
"""
_WAS_DUE = "SELECT $2 IN (next_at, coalesce(waiting_at, next_at), last_at) FROM orchestrator.schedules WHERE id = $1"


@dataclass(frozen=True)
class Hurry:
    """Sees to it that the schedule is due again and again; each of these starts must become a run."""

    url: str
    schedule_id: int
    history: History
    dice: random.Random

    async def hurry(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self.dice.uniform(_SHORTEST, _LONGEST))
            moment = datetime.now(UTC)
            key = f"schedule:{self.schedule_id}:{moment.isoformat()}"
            self.history.expected[key] = COMPLETED
            while not await self._is_due(moment):  # noqa: ASYNC110 - nothing tells when Postgres is back
                await asyncio.sleep(_PAUSE)
            self.history.due.append(key)

    async def _is_due(self, moment: datetime) -> bool:
        """Whether a start is, or was, due at that moment. A change whose answer was lost is found out about."""
        with suppress(*AWAY):
            connection = await asyncpg.connect(self.url, timeout=5, command_timeout=10)
            try:
                await connection.execute(_BRING_FORWARD, self.schedule_id, moment)
                found: bool | None = await connection.fetchval(_WAS_DUE, self.schedule_id, moment)
                return bool(found)
            finally:
                connection.terminate()
        return False
