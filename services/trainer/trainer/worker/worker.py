"""The worker: claims a step, has it done while its lease is kept, and tells the outcome until it is heard."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import StatusCode

from common.bus import Bus
from common.objects import ObjectStore
from common.telemetry import SECONDS, Counter, Histogram, get_logger
from common.tracing import hop
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    FINISH_STEP,
    ClaimedStep,
    FinishStep,
    StepCancelled,
    StepFailed,
    StepReleased,
    StepSucceeded,
)
from contracts.pipeline import ErrorCode
from trainer.domain.failures import deadline_passed
from trainer.engine.child_process import ChildProcess
from trainer.engine.places import earlier_checkpoints_of, left_by
from trainer.worker.claims import Claims
from trainer.worker.leases import Interruption, Lease, Leases
from trainer.worker.performing import Performer
from trainer.worker.run_log import RunLog, StepLog

_log = get_logger("worker")
_STEPS = Counter("trainer_steps_total", "Steps worked on", ["agent_class", "outcome"])
_DURATION = Histogram(
    "trainer_step_seconds",
    "Time from claim to outcome",
    ["agent_class"],
    buckets=(*SECONDS, 1800, 3600, 14_400, 43_200, 86_400),
)
_UNANSWERED = frozenset({RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT, RefusalCode.INTERNAL})
_LOG_SECONDS = 2.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_PAUSE_WITHOUT_ORCHESTRATOR = 1.0
_GRACE_SECONDS = 10.0
_PAUSE_SECONDS = 30.0
"""How long an agent may take to come to a point to go on from, or to its end, before it is stopped where it is."""

Result = StepSucceeded | StepFailed | StepCancelled | StepReleased


@dataclass(frozen=True)
class Worker:
    """Works on steps in any number of slots; `run_slot` is one of them, with a child process of its own."""

    bus: Bus
    leases: Leases
    run_log: RunLog
    performer: Performer
    objects: ObjectStore
    worker_id: str
    agent_classes: Sequence[str]
    poll_seconds: float
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _slots: "set[asyncio.Task[Any]]" = field(default_factory=set)

    async def run_slot(self, child: ChildProcess) -> None:
        """Takes one step after the other until `close`."""
        slot = asyncio.current_task()
        assert slot is not None  # noqa: S101 - a coroutine runs in a task
        self._slots.add(slot)
        claims = Claims(self.bus, self.worker_id, self.agent_classes, self.poll_seconds)
        try:
            while not self._stopping.is_set():
                # A step is not claimed for a process that cannot start.
                await self._unless_stopping(child.ready())
                if (step := await self._next_step(claims)) is not None:
                    await self._take(step, child)
        finally:
            self._slots.discard(slot)
            await claims.close()

    async def close(self) -> None:
        """Takes nothing new, gives back what is being worked on, and waits a while until the slots have ended."""
        self._stopping.set()
        self.leases.interrupt_all(Interruption.RELEASED)
        if self._slots:
            await asyncio.wait(self._slots, timeout=_GRACE_SECONDS)

    async def _next_step(self, claims: Claims) -> ClaimedStep | None:
        if self._stopping.is_set():
            return None
        try:
            return await claims.ready() or await claims.hinted(self._stopping)
        except Refused as refused:
            _log.info("waiting_for_orchestrator", error=refused.message)
            await self._unless_stopping(asyncio.sleep(_PAUSE_WITHOUT_ORCHESTRATOR))
            return None

    async def _unless_stopping(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work`, or until the worker stops."""
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            await _end(working, stopped)

    async def _take(self, step: ClaimedStep, child: ChildProcess) -> None:
        lease = self.leases.hold(step)
        if self._stopping.is_set():
            lease.interrupt(Interruption.RELEASED)
        log = self.run_log.of(step)
        started = time.monotonic()
        headers = {"traceparent": step.traceparent} if step.traceparent else {}
        try:
            with hop(f"step {step.agent_class}", headers=headers, attributes={"run.id": step.run_id}) as span:
                result = await self._outcome(lease, child, log)
                if isinstance(result, StepFailed):
                    span.set_status(StatusCode.ERROR, result.code)
                outcome = result.outcome if result is not None else "lost"
                if result is not None:
                    await self._tell(lease, result, log)
        finally:
            self.leases.drop(lease)
        seconds = time.monotonic() - started
        _STEPS.labels(step.agent_class, outcome).inc()
        _DURATION.labels(step.agent_class).observe(seconds)
        _log.info("step_ended", step_id=step.step_id, agent_class=step.agent_class, outcome=outcome, seconds=seconds)

    async def _outcome(self, lease: Lease, child: ChildProcess, log: StepLog) -> Result | None:
        """What came of the work; None when another worker holds the step now, and nobody waits for ours."""
        working = asyncio.create_task(self.performer.perform(lease, child, log))
        pausing = asyncio.create_task(_patience_with_pause(lease))
        interrupted = asyncio.create_task(lease.interruption())
        try:
            await asyncio.wait(
                {working, interrupted, pausing}, timeout=lease.seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                return working.result()
            if pausing.done():
                return StepReleased()
            if not interrupted.done():
                return deadline_passed(lease.step.global_config.step_timeout_seconds)
            match interrupted.result():
                case Interruption.CANCELLED:
                    return StepCancelled()
                case Interruption.RELEASED:
                    return StepReleased()
                case Interruption.LOST:
                    return None
        finally:
            await _end(working, interrupted, pausing)

    async def _tell(self, lease: Lease, result: Result, log: StepLog) -> None:
        match result:
            case StepFailed():
                log.say("ERROR", f"{lease.step.agent_class} failed: {result.message}")
            case StepCancelled():
                log.say("WARN", f"{lease.step.agent_class} was cancelled")
            case StepReleased() if lease.paused.is_set():
                log.say("INFO", f"{lease.step.agent_class} is paused")
            case StepReleased():
                log.say("WARN", f"{lease.step.agent_class} was stopped; it goes on where it was once a worker is free")
            case StepSucceeded():
                pass
        await self.run_log.drained(_LOG_SECONDS)
        recorded = await self._finish(lease, result)
        if isinstance(recorded, StepSucceeded):
            await self.performer.keep(lease, recorded.output)
        if recorded is not None:
            await self._tidy(lease.step, recorded)

    async def _finish(self, lease: Lease, result: Result) -> Result | None:
        """Tells the result until it is heard or the lease is lost; what was recorded, None where nothing was.

        Meanwhile the heartbeats go on, so a broken connection costs time, never a result.
        """
        request = FinishStep(step_id=lease.step.step_id, fence=lease.step.fence, result=result)
        pause = _SHORTEST_PAUSE
        while not lease.lost.is_set():
            try:
                return request.result if (await self.bus.ask(FINISH_STEP, request)).recorded else None
            except Refused as refused:
                _log.warning("finish_failed", step_id=lease.step.step_id, error=refused.message)
                if refused.code not in _UNANSWERED:
                    if isinstance(request.result, StepFailed):
                        return None
                    request = request.model_copy(update={"result": _untellable(refused)})
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await lease.lost.wait()
            pause = min(pause * 2, _LONGEST_PAUSE)
        return None

    async def _tidy(self, step: ClaimedStep, result: Result) -> None:
        """Removes what no attempt will want again. A failed one may be gone on from in another job.

        What stays, since this process dies or the object store is away, `Leftovers` will free.
        """
        if isinstance(result, StepReleased | StepFailed):
            return
        left = [left_by(step.run_id, step.agent_name, cancelled=isinstance(result, StepCancelled))]
        if isinstance(result, StepSucceeded) and (earlier := earlier_checkpoints_of(step)) is not None:
            left.append(earlier)
        for prefix in left:
            try:
                await self.objects.remove_prefix(prefix / "")
            except Refused as refused:
                _log.warning("leftovers_stay", prefix=str(prefix), error=refused.message)


def _untellable(refused: Refused) -> StepFailed:
    """The orchestrator will never take the result itself, for instance because it is too large for a message."""
    return StepFailed(
        code=ErrorCode.INTERNAL, message=f"The result could not be recorded: {refused.message}", retryable=False
    )


async def _patience_with_pause(lease: Lease) -> None:
    while True:
        await lease.paused.wait()
        await asyncio.sleep(_PAUSE_SECONDS)
        # Unless the job has been resumed meanwhile: an agent that has not stopped goes on.
        if lease.paused.is_set():
            return


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancels what still runs and waits until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
