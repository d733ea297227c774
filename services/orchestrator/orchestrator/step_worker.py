"""Works on the steps that the orchestrator does itself, as one of any number of replicas: claim, beat, finish by fence.

It lives beside the database, so it needs no hint: it looks when this process has made a step ready, and now and then
for those of others. A step whose process died is claimed again once its lease has ended.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from common.telemetry import get_logger
from common.tracing import hop
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepCancelled, StepFailed, StepReleased
from orchestrator import metrics
from orchestrator.deps import Deps
from orchestrator.domain import machine, outcomes
from orchestrator.domain.machine import Run, Step, Transition
from orchestrator.domain.records import Claim
from orchestrator.domain.storable import mended
from orchestrator.recording import record, settled
from orchestrator.store import runs, steps

Work = Callable[[Deps, Claim], Awaitable[dict[str, Any]]]
"""Does one step and returns its output. Raises `Refused` for what is expected to go wrong."""
Result = dict[str, Any] | StepFailed | StepCancelled | StepReleased

_LATER = frozenset(
    {RefusalCode.UNAVAILABLE, RefusalCode.ENGINE_UNAVAILABLE, RefusalCode.TIMEOUT, RefusalCode.RATE_LIMITED}
)
_PAUSE = 0.5
_LONGEST_SILENCE = 1.5
"""Seconds after which a running step hears at the latest that its run was cancelled."""
_log = get_logger("step_worker")


class StepWorker:
    """Does at most `concurrency` steps at once; `work` says how to do those of each kind."""

    def __init__(self, deps: Deps, work: Mapping[str, Work], *, concurrency: int) -> None:
        self._deps = deps
        self._work = work
        self._concurrency = concurrency
        self._name = f"orchestrator-{uuid.uuid4().hex[:8]}"
        self._held: dict[int, tuple[int, asyncio.Task[None]]] = {}
        self._told_to_stop: set[int] = set()
        self._stopping = False

    async def run(self) -> None:
        """Works until cancelled, then gives back what it holds."""
        self._stopping = False
        taking, beating = asyncio.create_task(self._take()), asyncio.create_task(self._beat())
        try:
            ended, _ = await asyncio.wait({taking, beating}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            # A claim that is under way is let through: cut off, its step would wait for the end of a lease.
            self._stopping = True
            self._deps.steps_ready.set()
            await asyncio.wait({taking})
            working = [task for _, task in self._held.values()]
            for task in (beating, *working):
                task.cancel()
            await asyncio.gather(beating, *working, return_exceptions=True)

    async def _take(self) -> None:
        while not self._stopping:
            self._deps.steps_ready.clear()
            try:
                while self._has_room() and (claim := await self._claim()) is not None:
                    self._start(claim)
            except Refused as refusal:
                _log.warning("worker_waits", error=refusal.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._deps.steps_ready.wait()

    def _has_room(self) -> bool:
        return not self._stopping and len(self._held) < self._concurrency

    async def _claim(self) -> Claim | None:
        async with self._deps.database.transaction() as connection:
            claim = await steps.claim(
                connection, worker_id=self._name, kinds=list(self._work), lease=self._deps.policy.lease
            )
        if claim is not None:
            metrics.count_claim(claim)
        return claim

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._do(claim))
        self._held[claim.step_id] = (claim.fence, task)

        def ended(_: "asyncio.Task[None]") -> None:
            del self._held[claim.step_id]
            self._told_to_stop.discard(claim.step_id)
            self._deps.steps_ready.set()

        task.add_done_callback(ended)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(min(self._deps.policy.lease / 3, _LONGEST_SILENCE))
            fences = {step_id: fence for step_id, (fence, _) in self._held.items()}
            if not fences:
                continue
            try:
                async with self._deps.database.connection() as connection:
                    verdicts = await steps.beat(connection, fences, lease=self._deps.policy.lease)
            except Refused as refusal:
                _log.warning("beat_waits", error=refusal.message)
                continue
            for step_id, verdict in verdicts.items():
                if verdict != "held" and (held := self._held.get(step_id)) is not None and held[0] == fences[step_id]:
                    self._told_to_stop.add(step_id)
                    held[1].cancel()

    async def _do(self, claim: Claim) -> None:
        with hop(f"step {claim.kind}", headers={"traceparent": claim.traceparent} if claim.traceparent else {}):
            result = await self._result(claim)
        while True:
            try:
                await self._finish(claim, result)
            except Refused as refusal:
                # The lease decides how long this may go on: once it has ended the result is dropped.
                _log.warning("finish_waits", step_id=claim.step_id, error=refusal.message)
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _result(self, claim: Claim) -> Result:
        try:
            return await self._work[claim.kind](self._deps, claim)
        except Refused as refusal:
            temporary = bool(refusal.metadata.get("temporary", refusal.code in _LATER))
            return StepFailed(
                code=refusal.code, message=refusal.message, metadata=refusal.metadata, retryable=temporary
            )
        except asyncio.CancelledError:
            return StepCancelled() if claim.step_id in self._told_to_stop else StepReleased()
        except Exception:
            _log.exception("step_crashed", step_id=claim.step_id, kind=claim.kind)
            return StepFailed(code=RefusalCode.INTERNAL, message="An internal error occurred", retryable=True)

    async def _finish(self, claim: Claim, result: Result) -> None:
        async with self._deps.database.transaction() as connection:
            run = await runs.lock_of_step(connection, claim.step_id)
            step = None if run is None else run.held(claim.step_id, claim.fence)
            if run is None or step is None:
                metrics.RESULTS_DROPPED.inc()
                return
            transition = self._transition(run, step, result)
            await record(connection, transition, self._deps.policy)
        settled(self._deps, transition)

    def _transition(self, run: Run, step: Step, result: Result) -> Transition:
        if isinstance(result, dict):
            return machine.succeed(run, step, mended(result))
        return outcomes.finish(run, step, result, self._deps.policy, self._deps.chance())
