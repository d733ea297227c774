"""Does what the plan says, when it says so, and writes down what came of it."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from tests.chaos.history import Hit
from tests.chaos.house import House
from tests.chaos.plan import Deed
from tests.chaos.wiretap import Wiretap

_AT_ONCE = 64
"""So many deeds may be under way: while much is away most of them wait for it, and the next is not to wait for them."""

ResultT = TypeVar("ResultT")

_SIGNALS = {"kill": signal.SIGKILL, "quit": signal.SIGQUIT, "restart": signal.SIGINT}
"""SIGQUIT ends Postgres at once, SIGINT in order."""


class Adversary:
    """Hands each deed on to `tell` when it begins and its hit when what it hit is at work again."""

    def __init__(self, house: House, tap: Wiretap, seed: int, tell: Callable[[Deed | Hit], None]) -> None:
        self._house = house
        self._tap = tap
        self._dice = random.Random(f"chaos/{seed}/deeds")
        self._tell = tell
        self._threads = ThreadPoolExecutor(_AT_ONCE, "adversary")

    async def carry_out(self, deeds: Sequence[Deed]) -> list[str]:
        """Returns when the last is over and everything runs; the names of what did not come back then. No deed waits
        for the mending of another."""
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for deed in deeds:
                    await asyncio.sleep(began + deed.at - time.monotonic())
                    self._tell(deed)
                    group.create_task(self._do(deed))
        finally:
            await self._blocking(self._house.continue_all)
        return [name for name in self._house.names if not await self._is_back(name)]

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
        pids = await self._blocking(self._house.stop, deed.target)
        try:
            await asyncio.sleep(deed.seconds)
        finally:
            self._house.go_on(pids)
        return f"{deed.seconds:.1f} s" if pids else "it was down"

    async def _end(self, deed: Deed) -> str:
        pid = self._house.signal(deed.target, _SIGNALS[deed.kind])
        # What is hit again and again before it is ready may be away for as long as there are deeds.
        back = "" if await self._is_back(deed.target, pid) else ", not back in time"
        return ("it was down" if pid is None else f"process {pid}") + back

    async def _is_back(self, name: str, not_pid: int | None = None) -> bool:
        try:
            await self._blocking(partial(self._house.wait_ready, name, not_pid=not_pid))
        except TimeoutError:
            return False
        return True

    async def _blocking(self, do: Callable[..., ResultT], *arguments: object) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, do, *arguments)
