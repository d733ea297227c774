"""A run's log for somebody who follows it: every record once, in order, from wherever they were, until the run's end.

Records come from the LOGS stream, whose sequence is the record's id; what the stream no longer keeps comes from the
orchestrator's history, which has the same sequences. That is written a moment later, and not always in order: what the
stream keeps is never looked for there.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from common.bus import Bus, BusDown
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GET_JOB, GET_LOGS, LOG_RECORDED, GetJob, GetLogs, Job, LogEntry

ENDED = frozenset({"completed", "failed", "cancelled"})
_SETTLED = timedelta(minutes=1)
"""So long after a job's end the history holds its whole log, whatever happened to its writer in between."""
_QUIET = 1.0
_PAGE = 1000


async def job_of(bus: Bus, run_id: str) -> Job:
    """Raises `Refused`."""
    return await bus.ask(GET_JOB, GetJob(job_id=f"job_{run_id}"))


class RunLog:
    """The records of one run after a sequence. `ended` is set once it is known that the run has.

    None stands for a silence of `heartbeat` seconds.
    """

    def __init__(self, bus: Bus, run_id: str, after: int, ended: asyncio.Event, heartbeat: float) -> None:
        self._bus = bus
        self._run_id = run_id
        self._after = after
        self._ended = ended
        self._heartbeat = heartbeat

    def entries(self, job: Job) -> AsyncGenerator[LogEntry | None, None]:
        """All that is left to see of the job's log, also what is still to come."""
        if job.status in ENDED:
            self._ended.set()
        is_settled = job.completed_at is not None and datetime.now(UTC) - job.completed_at > _SETTLED
        return self._kept() if is_settled else self._live()

    async def _kept(self, until: int | None = None) -> AsyncGenerator[LogEntry | None, None]:
        """The rest of the history, or what of it is not after `until`, page by page."""
        while True:
            entries = await self._page()
            for entry in entries:
                if until is not None and entry.sequence > until:
                    return
                self._after = entry.sequence
                yield entry
            if not entries:
                return

    async def _live(self) -> AsyncGenerator[LogEntry | None, None]:
        """What is there and what comes, until the job has ended and nothing is left to send."""
        forgotten_until = await self._forgotten_until()
        if forgotten_until > self._after:
            async for entry in self._kept(until=forgotten_until):
                yield entry
        async with aclosing(self._bus.follow(LOG_RECORDED, key=self._run_id, after=self._after)) as source:
            upcoming = asyncio.ensure_future(anext(source))
            ended = asyncio.ensure_future(self._ended.wait())
            try:
                while True:
                    waits = {upcoming} if ended.done() else {upcoming, ended}
                    patience = _QUIET if ended.done() else self._heartbeat
                    done, _ = await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                    if upcoming in done:
                        delivered = upcoming.result()
                        self._after = delivered.sequence
                        yield LogEntry(sequence=delivered.sequence, record=delivered.body)
                        upcoming = asyncio.ensure_future(anext(source))
                    elif not done:
                        if ended.done() and await self._is_all():
                            break
                        await self._look_for_the_end()
                        yield None
            finally:
                for task in (upcoming, ended):
                    task.cancel()
                await asyncio.gather(upcoming, ended, return_exceptions=True)
        async for entry in self._kept():
            yield entry

    async def _forgotten_until(self) -> int:
        try:
            return await self._bus.kept_after(LOG_RECORDED, self._after)
        except BusDown as error:
            raise Refused(RefusalCode.UNAVAILABLE, f"The log cannot be read at the moment: {error}") from error

    async def _look_for_the_end(self) -> None:
        # In case the event went unheard.
        try:
            has_ended = (await job_of(self._bus, self._run_id)).status in ENDED
        except Refused as refusal:
            # A job that was deleted had ended before.
            has_ended = refusal.code is RefusalCode.NOT_FOUND
        if has_ended:
            self._ended.set()

    async def _is_all(self) -> bool:
        """Whether silence means that the log is whole: the bus is there, and so is who keeps the history."""
        try:
            await self._bus.ping()
            await self._page()
        except (BusDown, Refused):
            return False
        return True

    async def _page(self) -> list[LogEntry]:
        try:
            page = await self._bus.ask(GET_LOGS, GetLogs(run_id=self._run_id, limit=_PAGE, after=self._after))
        except Refused as refusal:
            if refusal.code is RefusalCode.NOT_FOUND:
                return []
            raise
        return page.entries
