"""Does what the plan says, when it says so, and writes down what came of it."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence

from tests.chaos.history import Hit
from tests.chaos.house import House
from tests.chaos.plan import Deed
from tests.chaos.wiretap import Wiretap

_SIGNALS = {"kill": signal.SIGKILL, "quit": signal.SIGQUIT, "restart": signal.SIGINT}
"""SIGQUIT ends Postgres at once, SIGINT in order."""


class Adversary:
    """Hands each deed on to `tell` when it begins and its hit when what it hit is at work again."""

    def __init__(self, house: House, tap: Wiretap, seed: int, tell: Callable[[Deed | Hit], None]) -> None:
        self._house = house
        self._tap = tap
        self._dice = random.Random(f"chaos/{seed}/deeds")
        self._tell = tell

    async def carry_out(self, deeds: Sequence[Deed]) -> None:
        """Returns when the last is over and everything runs. No deed waits for the mending of another."""
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for deed in deeds:
                    await asyncio.sleep(began + deed.at - time.monotonic())
                    self._tell(deed)
                    group.create_task(self._do(deed))
        finally:
            await asyncio.to_thread(self._house.continue_all)

    async def _do(self, deed: Deed) -> None:
        at = time.time()
        match deed.kind:
            case "stop":
                note = await self._stop(deed)
            case "purge":
                note = await self._tap.purge_work()
            case "repeat":
                note = await self._tap.repeat(deed.target, self._dice)
            case _:
                note = await self._end(deed)
        self._tell(Hit(deed.number, deed.kind, deed.target, at, time.time(), note))

    async def _stop(self, deed: Deed) -> str:
        pids = await asyncio.to_thread(self._house.stop, deed.target)
        try:
            await asyncio.sleep(deed.seconds)
        finally:
            self._house.go_on(pids)
        return f"{deed.seconds:.1f} s" if pids else "it was down"

    async def _end(self, deed: Deed) -> str:
        pid = self._house.signal(deed.target, _SIGNALS[deed.kind])
        await asyncio.to_thread(self._house.wait_ready, deed.target, not_pid=pid)
        return "it was down" if pid is None else f"process {pid}"
