"""The steps this worker holds, and the heartbeats that keep them its own."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum

from common.bus import Bus
from common.telemetry import Gauge, get_logger
from contracts.base import Refused
from contracts.orchestrator import BEAT_STEPS, JOB_STEERED, BeatSteps, ClaimedStep, HeldStep, StepVerdict
from trainer.engine.child_process import Steering
from trainer.engine.orders import Adjust, Pause

_log = get_logger("leases")
_HELD = Gauge("trainer_steps_held", "Steps being worked on now")
_RETRY_SECONDS = 1.0
_LONGEST_SILENCE = 3.0
"""Whatever becomes of the hint that a job was steered, its agents hear of it soon."""


class Interruption(StrEnum):
    """Why the work on a step must stop."""

    CANCELLED = "cancelled"
    LOST = "lost"
    RELEASED = "released"


class Lease:
    """A held step. It is interrupted at most by its cancellation or the end of this process, and then by its loss.

    `steering` is what its child is to be told; `adjusted` the number of the last adjustment among it. `content_key` is
    set while work is done whose result may answer other steps of the same content.
    """

    def __init__(self, step: ClaimedStep) -> None:
        self.step = step
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()
        self.steering: Steering = Steering()
        self.adjusted = max((one.number for one in step.adjustments), default=0)
        self.content_key: str | None = None
        self._why: Interruption | None = None
        self._interrupted = asyncio.Event()

    def interrupt(self, why: Interruption) -> None:
        if self._why is None or why is Interruption.LOST:
            self._why = why
        if why is Interruption.LOST:
            self.lost.set()
        self._interrupted.set()

    def heed(self, verdict: StepVerdict) -> None:
        for adjustment in verdict.adjustments:
            # Two answers may tell of the same one.
            if adjustment.number > self.adjusted:
                self.adjusted = adjustment.number
                self.steering.put_nowait(Adjust(adjustment=adjustment))
        match verdict.verdict:
            case "held":
                self.paused.clear()
            case "pause" if not self.paused.is_set():
                self.paused.set()
                self.steering.put_nowait(Pause())
            case "cancel":
                self.interrupt(Interruption.CANCELLED)
            case "lost":
                self.interrupt(Interruption.LOST)

    async def interruption(self) -> Interruption:
        """Waits until the work must stop, and says why."""
        await self._interrupted.wait()
        return self._why or Interruption.LOST

    def seconds_left(self) -> float:
        """Until the step's deadline; never negative."""
        return max((self.step.deadline - datetime.now(UTC)).total_seconds(), 0.0)


class Leases:
    """All held steps. `run` beats for them in one question, at a third of the shortest lease at the latest, and hears
    the verdicts."""

    def __init__(self, bus: Bus, worker_id: str) -> None:
        self._bus = bus
        self._worker_id = worker_id
        self._held: dict[tuple[int, int], Lease] = {}
        self._changed = asyncio.Event()

    def hold(self, step: ClaimedStep) -> Lease:
        for earlier in [lease for lease in self._held.values() if lease.step.step_id == step.step_id]:
            # Its lease ended while this process was cut off. Verdicts go by step, and are the new claim's from now on.
            earlier.interrupt(Interruption.LOST)
            self.drop(earlier)
        lease = Lease(step)
        self._held[step.step_id, step.fence] = lease
        _HELD.set(len(self._held))
        self._changed.set()
        return lease

    def drop(self, lease: Lease) -> None:
        self._held.pop((lease.step.step_id, lease.step.fence), None)
        _HELD.set(len(self._held))

    def interrupt_all(self, why: Interruption) -> None:
        for lease in self._held.values():
            lease.interrupt(why)

    async def follow_hints(self) -> None:
        """Beats at once when somebody steers a job that is worked on here, until cancelled."""
        async for hint in self._bus.follow(JOB_STEERED):
            if any(lease.step.run_id == hint.body.run_id for lease in self._held.values()):
                self._changed.set()

    async def run(self) -> None:
        """Beats until cancelled. An orchestrator that does not answer is asked again soon: it may just restart."""
        while True:
            await self._wait_for_turn()
            if self._held:
                try:
                    await self._beat()
                except Refused as refused:
                    _log.warning("beat_failed", error=refused.message)
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _wait_for_turn(self) -> None:
        leases = (lease.step.lease_seconds / 3 for lease in self._held.values())
        interval = min((*leases, _LONGEST_SILENCE)) if self._held else None
        try:
            # A new step is beaten for at once: it may have been cancelled since, and its lease may be shorter.
            async with asyncio.timeout(interval):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _beat(self) -> None:
        asked = dict(self._held)
        steps = [
            HeldStep(step_id=step_id, fence=fence, adjusted=lease.adjusted) for (step_id, fence), lease in asked.items()
        ]
        reply = await self._bus.ask(BEAT_STEPS, BeatSteps(worker_id=self._worker_id, steps=steps))
        verdicts = {verdict.step_id: verdict for verdict in reply.verdicts}
        for (step_id, _), lease in asked.items():
            if (verdict := verdicts.get(step_id)) is not None:
                lease.heed(verdict)
