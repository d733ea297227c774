"""Starts the runs of schedules. Any number of replicas may: each start is made once, and none is lost.

A start is one transaction, which locks the schedule, enters the run under the key of the moment that it was due, and
writes when the next one is. A process that dies before the commit has done nothing; after it, all.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from common.context import Call, Principal, calling
from common.database import Connection
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.gateway import GET_CALLER, GetCaller
from orchestrator.deps import Deps
from orchestrator.domain.workflows import runs as workflow_run
from orchestrator.domain.workflows.runs import NewWorkflowRun, Started
from orchestrator.domain.workflows.schedules import DueSchedule, decide, key_of
from orchestrator.domain.workflows.snapshots import snapshot
from orchestrator.engine.entering import enter, entered
from orchestrator.store import schedules, workflows

_log = get_logger("scheduler")
_BATCH = 100
_OWNER_GONE = "Its owner may not start runs any more"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Made:
    """What a start has come to: its run, which may be a `new` one, or why there is none."""

    run_id: int | None = None
    new: NewWorkflowRun | None = None
    error: str | None = None


class Scheduler:
    """Looks for what is due every `interval` seconds, by the clock `now`."""

    def __init__(self, deps: Deps, *, interval: float, now: Callable[[], datetime] = _now) -> None:
        self._deps = deps
        self._interval = interval
        self._now = now

    async def run(self) -> None:
        """Starts runs until cancelled. A database or a gateway that is away is waited for."""
        while True:
            try:
                await self.start_due()
            except Refused as refusal:
                _log.warning("scheduler_waits", error=refusal.message)
            await asyncio.sleep(self._interval)

    async def start_due(self) -> int:
        """Starts all that is due now; how many runs."""
        started = 0
        while True:
            async with self._deps.database.connection() as connection:
                due = await schedules.due(connection, self._now(), _BATCH)
            # Asked for before anything is locked: what a key may do, and what it may spend, is what holds now.
            owners = {owner: await self._principal(owner) for owner in {owner for _, owner in due}}
            for schedule_id, owner in due:
                started += await self._start_or_disable(schedule_id, owners[owner])
            if len(due) < _BATCH:
                return started

    async def _start_or_disable(self, schedule_id: int, principal: Principal | None) -> bool:
        """Whether it has started a run. One that never can again is disabled."""
        if principal is None:
            await self._disable(schedule_id, _OWNER_GONE)
            return False
        try:
            return await self._start(schedule_id, principal)
        except Refused as refusal:
            if refusal.code is not RefusalCode.INVALID:
                raise
            await self._disable(schedule_id, refusal.message)
            return False

    async def _principal(self, owner: str) -> Principal | None:
        """The owner as it may call now; None when it may not. Raises `Refused(UNAVAILABLE)` when nobody knows."""
        try:
            found = await self._deps.bus.ask(GET_CALLER, GetCaller(caller_id=owner))
        except Refused as refusal:
            if refusal.code is RefusalCode.NOT_FOUND:
                return None
            raise
        if found.role == "viewer":
            return None
        return Principal(id=found.id, name=found.name, role=found.role, models=found.models, budget=found.budget)

    async def _disable(self, schedule_id: int, why: str) -> None:
        async with self._deps.database.transaction() as connection:
            await schedules.disable(connection, schedule_id, why)
        _log.warning("schedule_disabled", schedule_id=schedule_id, error=why)

    async def _start(self, schedule_id: int, principal: Principal) -> bool:
        """Raises `Refused(INVALID)` for a schedule that is never due again."""
        async with self._deps.turnstile.through(principal.id), self._deps.database.transaction() as connection:
            schedule = await schedules.claim(connection, schedule_id, self._now())
            if schedule is None:
                return False
            decision, made = decide(schedule, self._now()), _Made()
            if decision.start is not None:
                key = key_of(schedule.id, decision.start)
                with calling(Call(principal=principal, idempotency_key=key)):
                    made = await self._enter(connection, schedule)
            await schedules.record(connection, schedule.id, decision, run_id=made.run_id, error=made.error)
        if made.error is not None:
            _log.warning("schedule_not_started", schedule_id=schedule.id, error=made.error)
        if made.new is not None:
            entered(self._deps, made.new)
        return made.run_id is not None

    async def _enter(self, connection: Connection, schedule: DueSchedule) -> _Made:
        """A run of the workflow as it is now, or why none can be made. Nothing is written where none is."""
        found = await workflows.current(connection, schedule.workflow_id)
        if found is None:
            return _Made(error="Its workflow has been deleted")
        try:
            new = NewWorkflowRun(snapshot(found), schedule.inputs, Started("schedule", schedule.id))
            workflow_run.check_startable(new)
        except Refused as refusal:
            return _Made(error=_sentence(refusal))
        made = await enter(self._deps, connection, new)
        return _Made(made, new) if isinstance(made, int) else _Made(made.id)


def _sentence(refusal: Refused) -> str:
    """With the fields that are to blame."""
    errors = refusal.metadata.get("errors", [])
    named = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
    return f"{refusal.message}: {named}" if named else refusal.message
