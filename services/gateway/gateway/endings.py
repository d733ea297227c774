"""Tells log streams that a job has ended: one reader of the event for all of this process's streams."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from common.bus import Bus
from contracts.orchestrator import JOB_ENDED


class Endings:
    """Who waits for which run to end. A hint: what it misses, a stream finds out by asking for the job."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Follows the jobs that end, until cancelled."""
        async for delivered in self._bus.follow(JOB_ENDED):
            for ended in self._waiting.get(delivered.body.run_id, ()):
                ended.set()

    @contextmanager
    def watching(self, run_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the run ends within the block."""
        ended = asyncio.Event()
        self._waiting[run_id].add(ended)
        try:
            yield ended
        finally:
            self._waiting[run_id].discard(ended)
            if not self._waiting[run_id]:
                del self._waiting[run_id]
