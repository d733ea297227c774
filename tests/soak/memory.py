"""How much memory each process of a platform holds over time, and whether that is bounded."""

import asyncio
import csv
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from embedded.running import Running

_MIB = 1024 * 1024
_FREE_GROWTH = 8.0
"""MiB that a process may grow in the last third in any case: caches fill, allocators round up."""
_RELATIVE_GROWTH = 0.05
"""What it may grow besides, as a share of what it holds."""
_FEWEST = 9


@dataclass
class Trace:
    """One process, with those that it started. Moments are seconds from the start, memory is MiB.

    `private` is what would be free if it ended. It is judged by that, since the buffers that Postgres' processes share
    were bounded when it started; `resident` is what `top` shows, summed.
    """

    name: str
    moments: list[float] = field(default_factory=list)
    private: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """MiB of growth over the last third, by the straight line that fits it best."""
        moments, private = self._last_third()
        if len(moments) < 2:
            return 0.0
        return slope(moments, private) * (moments[-1] - moments[0])

    @property
    def growth_per_hour(self) -> float:
        moments, private = self._last_third()
        return slope(moments, private) * 3600 if len(moments) > 1 else 0.0

    @property
    def bounded(self) -> bool:
        return self.growth <= _FREE_GROWTH + _RELATIVE_GROWTH * max(self.private, default=0.0)

    def _last_third(self) -> tuple[list[float], list[float]]:
        if len(self.moments) < _FEWEST:
            return self.moments, self.private
        first = next(i for i, moment in enumerate(self.moments) if moment >= self.moments[-1] * 2 / 3)
        return self.moments[first:], self.private[first:]


def slope(xs: list[float], ys: list[float]) -> float:
    """Of the straight line with the least squares."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


class Sampler:
    """Looks at every process of the platform on `data_dir` each few seconds, until it is cancelled."""

    def __init__(self, data_dir: Path, every: float = 3.0) -> None:
        self.traces: dict[str, Trace] = {}
        self.started_again: list[str] = []
        self._data_dir = data_dir
        self._every = every
        self._started = time.monotonic()
        self._pids: dict[str, int] = {}

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self._sample)
            await asyncio.sleep(self._every)

    def write_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "process", "private_mib", "resident_mib"))
            for trace in self.traces.values():
                for row in zip(trace.moments, trace.private, trace.resident, strict=True):
                    moment, private, resident = row
                    writer.writerow((f"{moment:.1f}", trace.name, f"{private:.2f}", f"{resident:.2f}"))

    def _sample(self) -> None:
        running = Running.read(self._data_dir)
        if running is None:
            return
        moment = time.monotonic() - self._started
        for name, pid in {"supervisor": running.pid, **running.pids}.items():
            if self._pids.setdefault(name, pid) != pid:
                self.started_again.append(name)
                self._pids[name] = pid
            try:
                private, resident = _memory(pid, alone=name == "supervisor")
            except psutil.Error:
                continue
            trace = self.traces.setdefault(name, Trace(name))
            trace.moments.append(moment)
            trace.private.append(private)
            trace.resident.append(resident)


def _memory(pid: int, *, alone: bool) -> tuple[float, float]:
    """Private and resident MiB. The supervisor's children are the other processes, so it is looked at alone."""
    process = psutil.Process(pid)
    family = [process] if alone else [process, *process.children(recursive=True)]
    private = resident = 0
    for member in family:
        try:
            held = member.memory_full_info()
        except psutil.NoSuchProcess:
            if member is process:
                raise
            continue
        private += held.uss
        resident += held.rss
    return private / _MIB, resident / _MIB
