"""Hands every interaction to JetStream in the background: it never slows a completion and never fails one."""

import asyncio
from collections import deque

from common.bus import Bus, BusDown
from common.telemetry import get_logger
from contracts.router import INTERACTION_RECORDED, Interaction
from llm_router.engine.metrics import PENDING, SPILLED

_log = get_logger("recorder")
_BATCH = 256
_MOST_CHARACTERS = 256 * 1024 * 1024
_PAUSE = 0.5
_TRIES_ALONE = 5


class Recorder:
    """A bounded buffer before JetStream. What does not fit while NATS is away is logged without its texts."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self._bus = bus
        self._capacity = capacity
        self._waiting: deque[Interaction] = deque()
        self._characters = 0
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """How many JetStream has not taken yet."""
        return len(self._waiting)

    def record(self, interaction: Interaction) -> None:
        """Takes it and returns at once."""
        size = _size(interaction)
        if len(self._waiting) >= self._capacity or self._characters + size > _MOST_CHARACTERS:
            _spill(interaction, "buffer_full")
            return
        self._waiting.append(interaction)
        self._characters += size
        self._empty.clear()
        self._arrived.set()
        PENDING.set(len(self._waiting))

    async def run(self) -> None:
        """Publishes until cancelled."""
        batch = _BATCH
        tries = 0
        while True:
            await self._arrived.wait()
            interactions = [self._waiting[i] for i in range(min(batch, len(self._waiting)))]
            try:
                # The id drops what JetStream has already taken, should an earlier try have got half-way.
                await self._bus.publish_many(INTERACTION_RECORDED, [(None, i.interaction_id, i) for i in interactions])
            except BusDown as error:
                _log.warning("interactions_wait", waiting=len(self._waiting), error=str(error))
                tries += 1
                if tries >= _TRIES_ALONE and batch == 1 and await self._bus_is_up():
                    # It is refused for itself, and would hold back all others for ever.
                    _spill(interactions[0], "refused")
                    self._settle(interactions)
                    tries = 0
                # One at a time, so that a bad one is found and cannot take others with it.
                batch = 1
                await asyncio.sleep(_PAUSE)
            else:
                self._settle(interactions)
                batch, tries = _BATCH, 0

    async def flush(self, timeout: float) -> None:
        """Waits until JetStream has everything, then logs what it did not take within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for interaction in self._waiting:
                _spill(interaction, "shutdown")

    async def _bus_is_up(self) -> bool:
        try:
            await self._bus.ping()
        except BusDown:
            return False
        return True

    def _settle(self, interactions: list[Interaction]) -> None:
        for interaction in interactions:
            self._waiting.popleft()
            self._characters -= _size(interaction)
        if not self._waiting:
            self._arrived.clear()
            self._empty.set()
        PENDING.set(len(self._waiting))


def _size(interaction: Interaction) -> int:
    return len(interaction.input_text) + len(interaction.output_text)


def _spill(interaction: Interaction, reason: str) -> None:
    SPILLED.inc()
    _log.error(
        "interaction_spilled",
        reason=reason,
        **interaction.model_dump(mode="json", exclude={"input_text", "output_text", "parameters"}),
    )
