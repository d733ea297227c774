"""Works on the steps that the orchestrator does itself, as one of any number of replicas: claim, beat, finish by fence.

It works in turns. Each is one transaction, which records the results that have come in since the last and claims as
many steps as there is room for: the more there is to do, the more a commit carries. It lives beside the database, so
it needs no hint: it takes a turn when this process has made a step ready or has a result, and now and then for the
steps of others. A step whose process died is claimed again once its lease has ended.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import StatusCode

from common.database import Connection
from common.telemetry import get_logger
from common.tracing import hop
from contracts.base import BrokenOff, RefusalCode, Refused
from contracts.orchestrator import StepCancelled, StepFailed, StepReleased
from orchestrator.deps import Deps
from orchestrator.domain import machine, outcomes
from orchestrator.domain.machine import Part, Run, Step, Transition
from orchestrator.domain.records import Claim
from orchestrator.domain.storable import mended
from orchestrator.engine import metrics
from orchestrator.engine.recording import record_all, settled
from orchestrator.store import runs, steps


@dataclass(frozen=True)
class Split:
    """The step turns out to be many, of which `at_once` may be worked on at the same time."""

    parts: Sequence[Part]
    at_once: int


@dataclass(frozen=True)
class Ask:
    """The step is to be done, once a person has approved it."""


@dataclass(frozen=True)
class Postponed:
    """No engine was asked: none was free in time, or a part of this platform that it needs was away. The step goes back
    into the line, and that is no attempt: or a burst that takes engines longer than they are waited for would fail, and
    so would all that runs while a router is away."""

    message: str


@dataclass(frozen=True)
class CutOff:
    """Whoever was asked for the step was lost half-way."""

    message: str


Done = dict[str, Any] | Split | Ask | StepFailed
Work = Callable[[Deps, Claim], Awaitable[Done]]
"""Does one step and returns its output, or what it is split into. Raises `Refused` for what is expected to go wrong;
returns it as a failure where it knows more about it."""
Result = Done | Postponed | CutOff | StepCancelled | StepReleased

_LATER = frozenset({RefusalCode.ENGINE_UNAVAILABLE, RefusalCode.TIMEOUT, RefusalCode.RATE_LIMITED})
_PAUSE, _SHORT_PAUSE = 0.5, 0.02
_LONGEST_SILENCE = 1.0
"""Seconds after which a running step hears at the latest that its run was cancelled."""
_LAST_TRIES = 3
_BUSY, _NO_STORAGE = "overloaded", "storage"
"""Types of the router's refusals. The first names the engine where that itself has refused; the second says that the
object store is away."""
_log = get_logger("step_worker")


@dataclass(frozen=True, eq=False)
class _Report:
    """How the work on a claimed step went."""

    claim: Claim
    result: Result


class StepWorker:
    """Does at most `concurrency` steps at once; `work` says how to do those of each kind."""

    def __init__(self, deps: Deps, work: Mapping[str, Work], *, concurrency: int) -> None:
        self._deps = deps
        self._work = work
        self._concurrency = concurrency
        self._name = f"orchestrator-{uuid.uuid4().hex[:8]}"
        self._held: dict[int, tuple[int, asyncio.Task[None]]] = {}
        self._reports: list[_Report] = []
        self._told_to_stop: set[int] = set()
        self._one_by_one = 0
        self._is_held_up = False
        self._stopping = False

    async def run(self) -> None:
        """Works until cancelled, then gives back what it holds."""
        self._stopping = False
        turning, beating = asyncio.create_task(self._turns()), asyncio.create_task(self._beat())
        try:
            ended, _ = await asyncio.wait({turning, beating}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            # A turn that is under way is let through: cut off, what it claims would wait for the end of a lease.
            self._stopping = True
            self._deps.steps_ready.set()
            await asyncio.wait({turning})
            working = [task for _, task in self._held.values()]
            for task in (beating, *working):
                task.cancel()
            await asyncio.gather(beating, *working, return_exceptions=True)
            await self._last_turns()

    async def _turns(self) -> None:
        while not self._stopping:
            self._deps.steps_ready.clear()
            try:
                await self._turn()
            except Refused as refusal:
                # The leases decide how long results are kept for this: once they have ended they are dropped.
                _log.warning("worker_waits", error=refusal.message)
                await asyncio.sleep(_PAUSE)
            if not self._reports or self._is_held_up:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SHORT_PAUSE if self._is_held_up else _PAUSE):
                        await self._deps.steps_ready.wait()

    async def _last_turns(self) -> None:
        for _ in range(_LAST_TRIES):
            self._is_held_up = False
            try:
                while self._reports and not self._is_held_up:
                    await self._turn()
            except Refused as refusal:
                _log.warning("worker_waits", error=refusal.message)
            if not self._reports:
                return
            await asyncio.sleep(_PAUSE)

    async def _turn(self) -> None:
        """Records what has come in and claims what there is room for, all or nothing. Raises `Refused`."""
        reports = self._next_reports()
        try:
            transitions, claims, held_up = await self._committed(reports)
        except Refused:
            self._reports = [*reports, *self._reports]
            raise
        except Exception:
            if not reports:
                raise
            _log.exception("results_not_recorded", step_ids=[report.claim.step_id for report in reports])
            transitions, claims, held_up = [], [], []
            if len(reports) > 1:
                # One of them is to blame, and the others shall not be lost with it.
                self._one_by_one = len(reports)
                self._reports = [*reports, *self._reports]
                return
        self._one_by_one = max(self._one_by_one - 1, 0)
        for report in reports:
            if report not in held_up:
                self._let_go(report.claim)
        self._reports += held_up
        self._is_held_up = bool(held_up) and not transitions and not claims
        if transitions:
            settled(self._deps, *transitions)
        for claim in claims:
            metrics.count_claim(claim)
            self._start(claim)

    def _next_reports(self) -> list[_Report]:
        """At most one of each run: what a second one changes depends on what the first has changed."""
        chosen: dict[int, _Report] = {}
        later = []
        for report in self._reports:
            if report.claim.run in chosen or (self._one_by_one and chosen):
                later.append(report)
            else:
                chosen[report.claim.run] = report
        self._reports = later
        return list(chosen.values())

    async def _committed(self, reports: Sequence[_Report]) -> tuple[list[Transition], list[Claim], list[_Report]]:
        """What the reports change, what is claimed, and the reports that are held up."""
        if not reports:
            async with self._deps.database.connection() as connection:
                return [], await self._claimed(connection, self._room([])), []
        async with self._deps.database.transaction() as connection:
            # Somebody who locks a run for long, as a replica that stands still does, holds up no other.
            known, locked = await runs.lock_free(connection, [report.claim.run for report in reports])
            held_up = [report for report in reports if report.claim.run in locked]
            done = [report for report in reports if report.claim.run not in locked]
            transitions = await self._recorded(connection, known, done)
            return transitions, await self._claimed(connection, self._room(done)), held_up

    def _room(self, done: Sequence[_Report]) -> int:
        """How many steps may be claimed, once the claims of the reports that are done are let go."""
        if self._stopping:
            return 0
        return self._concurrency - len(self._held) + sum(self._holds(report.claim) for report in done)

    async def _recorded(
        self, connection: Connection, known: Mapping[int, Run], reports: Sequence[_Report]
    ) -> list[Transition]:
        transitions = []
        for report in reports:
            claim, run = report.claim, known.get(report.claim.run)
            step = None if run is None else run.held(claim.step_id, claim.fence)
            if run is None or step is None:
                metrics.RESULTS_DROPPED.inc()
            else:
                transitions.append(self._transition(run, step, report.result))
        await record_all(connection, transitions, self._deps.policy)
        return transitions

    def _transition(self, run: Run, step: Step, result: Result) -> Transition:
        if isinstance(result, dict):
            return machine.succeed(run, step, mended(result))
        if isinstance(result, Ask):
            return machine.ask(run, step)
        if isinstance(result, Postponed):
            return outcomes.postpone(run, step, result.message, self._deps.policy, self._deps.chance())
        if isinstance(result, CutOff):
            return outcomes.break_off(run, step, result.message, self._deps.policy, self._deps.chance())
        if isinstance(result, Split):
            return machine.split(run, step, result.parts, result.at_once)
        return outcomes.finish(run, step, result, self._deps.policy, self._deps.chance())

    async def _claimed(self, connection: Connection, room: int) -> list[Claim]:
        if room <= 0:
            return []
        return await steps.claim_many(
            connection, worker_id=self._name, kinds=list(self._work), lease=self._deps.policy.lease, limit=room
        )

    def _start(self, claim: Claim) -> None:
        if (earlier := self._held.get(claim.step_id)) is not None:
            # Its lease ended while this process or the database stood still, and what comes of it would be dropped.
            earlier[1].cancel()
            self._told_to_stop.discard(claim.step_id)
        self._held[claim.step_id] = (claim.fence, asyncio.create_task(self._do(claim)))

    def _let_go(self, claim: Claim) -> None:
        if self._holds(claim):
            del self._held[claim.step_id]
            self._told_to_stop.discard(claim.step_id)

    def _holds(self, claim: Claim) -> bool:
        """Unless the step was taken from this worker meanwhile, and given to it again."""
        held = self._held.get(claim.step_id)
        return held is not None and held[0] == claim.fence

    async def _do(self, claim: Claim) -> None:
        headers = {"traceparent": claim.traceparent} if claim.traceparent else {}
        with hop(f"step {claim.kind}", headers=headers, attributes={"run.id": claim.run_id}) as span:
            result = await self._result(claim)
            if isinstance(result, StepFailed):
                span.set_status(StatusCode.ERROR, result.code)
        if isinstance(result, Postponed):
            # What is away or has no room is not to be asked at once by the next in line, who may be thousands.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(self._deps.policy.retry_base / 2)
        self._reports.append(_Report(claim, result))
        self._deps.steps_ready.set()

    async def _result(self, claim: Claim) -> Result:
        try:
            return await self._work[claim.kind](self._deps, claim)
        except BrokenOff as broken_off:
            return CutOff(broken_off.message)
        except Refused as refusal:
            if is_no_attempt(refusal):
                return Postponed(refusal.message)
            temporary = bool(refusal.metadata.get("temporary", refusal.code in _LATER))
            return StepFailed(
                code=refusal.code, message=refusal.message, metadata=refusal.metadata, retryable=temporary
            )
        except asyncio.CancelledError:
            return StepCancelled() if claim.step_id in self._told_to_stop else StepReleased()
        except Exception:
            _log.exception("step_crashed", step_id=claim.step_id, kind=claim.kind)
            return StepFailed(code=RefusalCode.INTERNAL, message="An internal error occurred", retryable=True)

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


def is_no_attempt(refusal: Refused) -> bool:
    """Whether no engine has been asked: none was free, or what stands between is away."""
    if isinstance(refusal, BrokenOff):
        return False  # one was, and its answer broke off
    if (kind := refusal.metadata.get("type")) == _BUSY:
        return "engine" not in refusal.metadata
    return kind == _NO_STORAGE or refusal.code is RefusalCode.UNAVAILABLE
