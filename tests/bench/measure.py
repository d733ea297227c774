"""How things are measured: alternating rounds of ours and the peer's, and the median of each."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True)
class Comparison:
    """One figure of ours beside the peer's, in the same unit."""

    what: str
    unit: str
    ours: float
    peer: float
    peer_name: str

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


async def rate(work: Callable[[], Awaitable[object]], *, count: int, concurrency: int) -> float:
    """How many times a second `work` is done by that many at once."""
    remaining = iter(range(count))

    async def worker() -> None:
        for _ in remaining:
            await work()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return count / (time.perf_counter() - started)


async def side_by_side(
    ours: Callable[[], Awaitable[float]], peer: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """The medians of alternating rounds, after one of each that does not count."""
    await ours()
    await peer()
    figures = [(await ours(), await peer()) for _ in range(ROUNDS)]
    return statistics.median(o for o, _ in figures), statistics.median(p for _, p in figures)
