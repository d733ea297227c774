"""Hands every interaction to JetStream before its answer leaves: without waiting for it, and without ever failing one.

Both go over one connection in this order, so whoever has an answer knows its record safe, even if this process dies.
Interactions that end in one turn of the event loop travel in one message: under load that makes each cost a fraction.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from common.bus import Bus, BusDown
from common.identifiers import new_id
from common.telemetry import get_logger
from contracts.router import INTERACTIONS_RECORDED, Interaction, Interactions
from llm_router.engine.metrics import PENDING, SPILLED

_log = get_logger("recorder")
_TOGETHER = 64
_CHARACTERS_TOGETHER = 256 * 1024
_MOST_CHARACTERS = 256 * 1024 * 1024
_MOST_TOLD = 16
_LOOK_SECONDS = 0.5
_ACK_SECONDS = 3.0
_TRIES_ALONE = 5
_UNTOLD = {"input_text", "output_text", "parameters"}
"""What a log does not tell of an interaction."""


@dataclass(eq=False)
class _Batch:
    """Interactions of one message, which JetStream has not acknowledged. `since` is of the monotonic clock."""

    batch_id: str = field(default_factory=new_id)
    since: float = field(default_factory=time.monotonic)
    interactions: list[Interaction] = field(default_factory=list)
    characters: int = 0
    taken: "asyncio.Future[None] | None" = None
    is_closed: bool = False
    tries: int = 0

    def has_room(self, characters: int) -> bool:
        """One that is too long for any batch gets one for itself."""
        if not self.interactions:
            return True
        fits = len(self.interactions) < _TOGETHER and self.characters + characters <= _CHARACTERS_TOGETHER
        return fits and not self.is_closed

    def add(self, interaction: Interaction, characters: int) -> None:
        self.interactions.append(interaction)
        self.characters += characters

    def body(self) -> Interactions:
        """What is told, from now on always the same."""
        self.is_closed = True
        # Whoever made them is held to the contract by the type checker.
        return Interactions.model_construct(interactions=self.interactions)

    def is_overdue(self, now: float) -> bool:
        return self.taken is None or self.taken.done() or now - self.since > _ACK_SECONDS


class Recorder:
    """Remembers what JetStream has not acknowledged and tells it again, up to a bound; the rest is logged textless."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self._bus = bus
        self._capacity = capacity
        self._batches: dict[str, _Batch] = {}
        self._last: _Batch | None = None
        self._characters = 0
        self.waiting = 0
        """How many interactions JetStream has not acknowledged yet."""
        self._empty = asyncio.Event()
        self._empty.set()
        PENDING.set_function(lambda: self.waiting)

    def record(self, interaction: Interaction) -> None:
        """Sends it with the others of this turn of the event loop, before whatever is sent next; returns at once."""
        characters = len(interaction["input_text"]) + len(interaction["output_text"])
        if self.waiting >= self._capacity or self._characters + characters > _MOST_CHARACTERS:
            _spill(interaction, "buffer_full")
            return
        if self._last is None or not self._last.has_room(characters):
            self._last = self._begin()
        self._last.add(interaction, characters)
        self.waiting += 1
        self._characters += characters

    async def run(self) -> None:
        """Tells again what was not acknowledged in time, until cancelled. The ids keep it from being stored twice."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            overdue = [batch for batch in self._batches.values() if batch.is_overdue(now)][:_MOST_TOLD]
            if overdue and not await self._tell(overdue):
                for batch in overdue:
                    await self._tell_alone(batch)

    async def flush(self, timeout: float) -> None:
        """Waits until JetStream has everything, then logs what it did not take within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for batch in self._batches.values():
                _spill_all(batch, "shutdown")

    def _begin(self) -> _Batch:
        batch = _Batch()
        self._batches[batch.batch_id] = batch
        self._empty.clear()
        try:
            batch.taken = self._bus.post(INTERACTIONS_RECORDED, batch.body, message_id=batch.batch_id)
        except BusDown:
            # `run` tells it once the bus is back.
            return batch
        batch.taken.add_done_callback(partial(self._answered, batch))
        return batch

    async def _tell(self, batches: Sequence[_Batch]) -> bool:
        try:
            await self._bus.publish_many(
                INTERACTIONS_RECORDED, [(None, batch.batch_id, batch.body()) for batch in batches]
            )
        except BusDown as error:
            _log.warning("interactions_wait", waiting=self.waiting, error=str(error))
            return False
        for batch in batches:
            self._settle(batch)
        return True

    async def _tell_alone(self, batch: _Batch) -> None:
        """One that is refused for itself would hold back all others for ever."""
        if not await self._bus_is_up() or await self._tell([batch]):
            return
        batch.tries += 1
        if batch.tries >= _TRIES_ALONE:
            _spill_all(batch, "refused")
            self._settle(batch)

    async def _bus_is_up(self) -> bool:
        try:
            await self._bus.ping()
        except BusDown:
            return False
        return True

    def _answered(self, batch: _Batch, taken: "asyncio.Future[None]") -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._settle(batch)

    def _settle(self, batch: _Batch) -> None:
        if self._batches.pop(batch.batch_id, None) is None:
            return
        self.waiting -= len(batch.interactions)
        self._characters -= batch.characters
        if batch.taken is not None:
            batch.taken.cancel()
        if not self._batches:
            self._empty.set()


def _spill_all(batch: _Batch, reason: str) -> None:
    for interaction in batch.interactions:
        _spill(interaction, reason)


def _spill(interaction: Interaction, reason: str) -> None:
    SPILLED.inc()
    told = {name: value for name, value in interaction.items() if name not in _UNTOLD}
    _log.error("interaction_spilled", reason=reason, **told)
