"""Frees what attempts at training kept to go on from, once nobody will, and forgets the results of deleted jobs.

Mostly that is done as a step ends. Here it is done for those whose worker died before it could, which were cancelled
while nobody worked on them, or which failed and were not tried again in time. The orchestrator remembers which those
are, so it is done however often a process dies on the way; any number of workers may do it at once.
"""

import asyncio

from common.bus import Bus
from common.objects import ObjectStore
from common.telemetry import Counter, get_logger
from contracts.base import Refused
from contracts.orchestrator import FORGET_RESULTS, FREE_STEPS, ForgetResults, FreeSteps
from trainer.engine.places import left_by
from trainer.worker.results import Results

_log = get_logger("leftovers")
_FREED = Counter("trainer_steps_freed_total", "Ended training steps whose checkpoints were freed")


class Leftovers:
    """Looks every `interval` seconds."""

    def __init__(self, bus: Bus, objects: ObjectStore, results: Results, *, interval: float) -> None:
        self._bus = bus
        self._objects = objects
        self._results = results
        self._interval = interval

    async def run(self) -> None:
        """Frees until cancelled. An orchestrator or object store that is away is waited for."""
        while True:
            try:
                await self.free()
                await self.forget()
            except Refused as refused:
                _log.warning("leftovers_wait", error=refused.message)
            await asyncio.sleep(self._interval)

    async def free(self) -> int:
        """Frees all that is to be freed now; of how many steps that was. Raises `Refused`."""
        freed: list[int] = []
        count = 0
        while steps := (await self._bus.ask(FREE_STEPS, FreeSteps(freed=freed))).steps:
            for step in steps:
                await self._objects.remove_prefix(left_by(step.run_id, step.agent_name, cancelled=step.cancelled) / "")
                _FREED.inc()
            freed = [step.step_id for step in steps]
            count += len(freed)
        return count

    async def forget(self) -> None:
        """Forgets all that is to be forgotten now. Raises `Refused`."""
        forgotten: list[str] = []
        while run_ids := (await self._bus.ask(FORGET_RESULTS, ForgetResults(forgotten=forgotten))).run_ids:
            await self._results.forget_runs(run_ids)
            forgotten = run_ids
