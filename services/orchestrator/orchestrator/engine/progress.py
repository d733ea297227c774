"""Tells how far payloads are while they are being answered. What is told may be lost, and slows nothing down.

It comes between the changes of the run's state, which the outbox tells: the answer to a payload, with the last of its
progress, when it is recorded. What is answered in no time is told of only there. Before the outbox has told what came
before a payload, nothing is told of that.
"""

import asyncio
from types import TracebackType
from typing import Self

from contracts.run_events import RUN_TOLD, ExecutionProgress, ItemProgress, ItemProgressed, Pace, Progress, RunTold
from contracts.workflows import PayloadSnapshot
from orchestrator.deps import Deps

_PAUSE = 0.25
"""Seconds between two messages about a payload, and before the first."""
_HELD_UP = 1.0
_SILENCE = 3.0
"""A process that was held up may have lost its steps to others, and hears of it at its next beat: within these seconds
it tells nothing, which could come after the news that the step is done."""


class Answering:
    """A payload, or one `item` of its list, that is being answered, for as long as the block lasts.

    Each piece of an answer is counted as one token, as engines send them.
    """

    def __init__(
        self, deps: Deps, *, owner: str, run_id: int, payload: PayloadSnapshot, item: int | None = None
    ) -> None:
        self._bus, self._relay = deps.bus, deps.relay
        self._mark = deps.relay.mark()
        self._owner = owner
        self._run_id = run_id
        self._payload = payload
        self._item = item
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(_PAUSE, self._tick, self._began + _PAUSE)
        self._first: float | None = None
        self._tokens = 0
        self._told: int | None = None
        self._silent_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def heard(self) -> None:
        """A piece of the answer has come."""
        if self._first is None:
            self._first = self._loop.time()
        self._tokens += 1

    def _tick(self, due: float) -> None:
        """`due` is when it was to be called."""
        now = self._loop.time()
        if now - due > _HELD_UP:
            self._silent_until = now + _SILENCE
        if self._relay.has_told(self._mark):
            self._tell(now)
        else:
            self._relay.kick()
        self._timer = self._loop.call_later(_PAUSE, self._tick, now + _PAUSE)

    def _tell(self, now: float) -> None:
        if self._told == self._tokens or now < self._silent_until:
            return
        self._told = self._tokens
        told = RunTold(owner=self._owner, messages=[self._message(now)])
        self._bus.mention(RUN_TOLD, told, key=str(self._run_id))

    def _message(self, now: float) -> ExecutionProgress | ItemProgressed:
        progress = Progress(
            runId=self._run_id,
            payloadId=self._payload.payload_id,
            payloadName=self._payload.step,
            progress=min(100 * self._tokens // self._payload.response_length, 100),
            metadata=Pace(tokens_per_second=self._pace(now)),
        )
        if self._item is None:
            return ExecutionProgress(data=progress)
        return ItemProgressed(data=ItemProgress(**dict(progress), item=self._item))

    def _pace(self, now: float) -> float:
        """Tokens a second since the first, or since the question where that was only just now."""
        since = self._began if self._first is None or now - self._first < _PAUSE else self._first
        return round(self._tokens / (now - since), 2)
