"""Getting work: the orchestrator is asked for a ready step, at once when a hint arrives and now and then without."""

import asyncio
from collections.abc import Awaitable, Sequence

from common.bus import Bus, Pulled
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.orchestrator import CLAIM_STEP, ClaimedStep, ClaimStep, StepReady
from contracts.topology import TRAINER_WORK

_log = get_logger("claims")
_LATER_SECONDS, _MOST_DOUBLINGS = 1.0, 6


class Claims:
    """How one slot comes by its steps. `poll_seconds` bounds how long a lost hint can matter."""

    def __init__(self, bus: Bus, worker_id: str, agent_classes: Sequence[str], poll_seconds: float) -> None:
        self._bus = bus
        self._hints = bus.puller(TRAINER_WORK)
        self._worker_id = worker_id
        self._agent_classes = list(agent_classes)
        self._poll_seconds = poll_seconds

    async def ready(self) -> ClaimedStep | None:
        """The oldest ready step, if there is one: after a finished step, its successor usually is."""
        return await self._claim(None)

    async def hinted(self, stopping: asyncio.Event) -> ClaimedStep | None:
        """The step of the next hint that is for us; None when none comes in time, or another was faster.

        Returns at once when `stopping` is set, but never forgets a step that is claimed.
        """
        clock = asyncio.get_running_loop()
        until = clock.time() + self._poll_seconds
        while (left := until - clock.time()) > 0:
            hint = await self._next(left, stopping)
            if hint is None:
                return None
            if hint.delivered.body.agent_class in self._agent_classes:
                return await self._follow(hint)
            # Those who do such steps may be busy for long, and look for one when they are not.
            later = _LATER_SECONDS * 2 ** min(hint.attempt - 1, _MOST_DOUBLINGS)
            await _settled(hint.again(after=later))
        return None

    async def _next(self, timeout: float, stopping: asyncio.Event) -> Pulled[StepReady] | None:
        fetching = asyncio.create_task(self._hints.fetch(1, timeout))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({fetching, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not fetching.done():
            # A hint that this loses comes again, to whoever is there.
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
            return None
        return next(iter(fetching.result()), None)

    async def _follow(self, hint: Pulled[StepReady]) -> ClaimedStep | None:
        try:
            step = await self._claim(hint.delivered.body.step_id)
        except Refused:
            await _settled(hint.again(after=_LATER_SECONDS))
            raise
        await _settled(hint.ack())
        return step

    async def close(self) -> None:
        await self._hints.close()

    async def _claim(self, step_id: int | None) -> ClaimedStep | None:
        request = ClaimStep(worker_id=self._worker_id, agent_classes=self._agent_classes, step_id=step_id)
        step = (await self._bus.ask(CLAIM_STEP, request)).step
        if step is not None:
            _log.info("step_claimed", step_id=step.step_id, agent_class=step.agent_class, attempt=step.attempt)
        return step


async def _settled(settling: Awaitable[None]) -> None:
    """A hint that could not be settled comes again, which costs a question; a claimed step must not fall with it."""
    try:
        await settling
    except Exception as error:
        _log.warning("hint_not_settled", error=repr(error))
