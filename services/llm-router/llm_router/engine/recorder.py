"""Hands every interaction to JetStream before its answer leaves: without waiting for it, and without ever failing one.

Both go over one connection in this order, so whoever has an answer knows its record safe, even if this process dies.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from common.bus import Bus, BusDown
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.router import INTERACTION_RECORDED, Interaction
from llm_router.engine.metrics import PENDING, SPILLED

_log = get_logger("recorder")
_BATCH = 256
_MOST_CHARACTERS = 256 * 1024 * 1024
_LOOK_SECONDS = 0.5
_ACK_SECONDS = 3.0
_TRIES_ALONE = 5


@dataclass(eq=False)
class _Waiting:
    """An interaction that JetStream has not acknowledged. `since` is of the monotonic clock."""

    interaction: Interaction
    size: int
    since: float
    taken: "asyncio.Future[None] | None" = None
    tries: int = 0

    def is_overdue(self, now: float) -> bool:
        return self.taken is None or self.taken.done() or now - self.since > _ACK_SECONDS


class Recorder:
    """Remembers what JetStream has not acknowledged and tells it again, up to a bound; the rest is logged textless."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self._bus = bus
        self._capacity = capacity
        self._waiting: dict[str, _Waiting] = {}
        self._characters = 0
        self._empty = asyncio.Event()
        self._empty.set()
        PENDING.set_function(lambda: len(self._waiting))

    @property
    def waiting(self) -> int:
        """How many JetStream has not acknowledged yet."""
        return len(self._waiting)

    def record(self, interaction: Interaction) -> None:
        """Sends it and returns at once."""
        size = len(interaction.input_text) + len(interaction.output_text)
        if len(self._waiting) >= self._capacity or self._characters + size > _MOST_CHARACTERS:
            _spill(interaction, "buffer_full")
            return
        entry = _Waiting(interaction, size, time.monotonic())
        self._waiting[interaction.interaction_id] = entry
        self._characters += size
        self._empty.clear()
        try:
            entry.taken = self._bus.post(INTERACTION_RECORDED, interaction, message_id=interaction.interaction_id)
        except (BusDown, Refused):
            # The bus is away, or the record too large for it: `run` finds out which.
            return
        entry.taken.add_done_callback(partial(self._answered, entry))

    async def run(self) -> None:
        """Tells again what was not acknowledged in time, until cancelled. The id keeps it from being stored twice."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            overdue = [entry for entry in self._waiting.values() if entry.is_overdue(now)][:_BATCH]
            if overdue and not await self._tell(overdue):
                for entry in overdue:
                    await self._tell_alone(entry)

    async def flush(self, timeout: float) -> None:
        """Waits until JetStream has everything, then logs what it did not take within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for entry in self._waiting.values():
                _spill(entry.interaction, "shutdown")

    async def _tell(self, entries: Sequence[_Waiting]) -> bool:
        try:
            await self._bus.publish_many(
                INTERACTION_RECORDED, [(None, e.interaction.interaction_id, e.interaction) for e in entries]
            )
        except BusDown as error:
            _log.warning("interactions_wait", waiting=len(self._waiting), error=str(error))
            return False
        for entry in entries:
            self._settle(entry)
        return True

    async def _tell_alone(self, entry: _Waiting) -> None:
        """One that is refused for itself would hold back all others for ever."""
        if not await self._bus_is_up() or await self._tell([entry]):
            return
        entry.tries += 1
        if entry.tries >= _TRIES_ALONE:
            _spill(entry.interaction, "refused")
            self._settle(entry)

    async def _bus_is_up(self) -> bool:
        try:
            await self._bus.ping()
        except BusDown:
            return False
        return True

    def _answered(self, entry: _Waiting, taken: "asyncio.Future[None]") -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._settle(entry)

    def _settle(self, entry: _Waiting) -> None:
        if self._waiting.pop(entry.interaction.interaction_id, None) is None:
            return
        self._characters -= entry.size
        if entry.taken is not None:
            entry.taken.cancel()
        if not self._waiting:
            self._empty.set()


def _spill(interaction: Interaction, reason: str) -> None:
    SPILLED.inc()
    _log.error(
        "interaction_spilled",
        reason=reason,
        **interaction.model_dump(mode="json", exclude={"input_text", "output_text", "parameters"}),
    )
