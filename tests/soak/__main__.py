"""`make soak MINUTES=30`: mixed load on a platform of its own, with streams, disconnects and engines that fail.

It passes when no request was lost, every call that reached the router is recorded once, the calls of those who left
were stopped, no process was started again, and no memory still grows at the end. What it saw is in `reports/soak/`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from embedded.platform import FREE_PORTS, Platform
from tests.soak.accounts import Recorded, settled
from tests.soak.load import PATIENCE, Books, Callers
from tests.soak.memory import Sampler, Trace
from tests.soak.plot import svg

_PROGRESS_SECONDS = 10.0
_STOPPED = 0.9
"""The share of callers who leave whose call is stopped; the answers of the others were on their way already."""
_ENVIRONMENT = {
    **FREE_PORTS,
    "PLATFORM_USER_REQUESTS_PER_MINUTE": "0",
    "PLATFORM_ADDRESS_REQUESTS_PER_MINUTE": "0",
    "PLATFORM_TESTS_PER_MINUTE": "0",
    # Answers that take a while, so that callers can leave half-way; some break off after a few tokens.
    "PLATFORM_SIMULATED_LATENCY": "0.05",
    "PLATFORM_SIMULATED_TOKENS_PER_SECOND": "150",
    "PLATFORM_SIMULATED_FAIL_RATE": "0.02",
    "PLATFORM_SIMULATED_FAIL_AFTER_TOKENS": "6",
}


async def soak(platform: Platform, minutes: float, rate: float, seed: int) -> tuple[Books, Recorded, Sampler]:
    headers = {"Authorization": f"Bearer {platform.admin_key}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    connector = aiohttp.TCPConnector(limit=0)
    sampler = Sampler(platform.data_dir)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        callers = Callers(session, platform.url, seed)
        watching = [asyncio.create_task(sampler.run()), asyncio.create_task(_progress(callers.books, sampler))]
        try:
            await callers.call(rate, minutes * 60)
        finally:
            for task in watching:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        router = f"http://127.0.0.1:{platform.ports()['llm_router_admin']}/metrics"
        return callers.books, await settled(session, platform.url, router), sampler


async def _progress(books: Books, sampler: Sampler) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        held = sum(trace.private[-1] for trace in sampler.traces.values())
        print(
            f"{(time.monotonic() - started) / 60:5.1f} min  {books.total:7,} requests  {books.count('answered'):7,}"
            f" answered  {books.count('closed'):6,} closed by us  {books.count('refused'):5,} refused"
            f"  {books.count('broken'):4,} broken  {books.count('lost'):3,} lost  {held:6,.0f} MiB",
            flush=True,
        )


def _requests(books: Books) -> Table:
    table = Table(title="What became of the requests")
    for column in ("kind", "requests", "answered", "closed by us", "refused", "broken off, and said so", "lost"):
        table.add_column(
            column, justify="left" if column in ("kind", "refused", "broken off, and said so") else "right"
        )
    for kind in sorted({kind for kind, _, _ in books.ends}):
        ends = {(end, detail): number for (name, end, detail), number in books.ends.items() if name == kind}
        table.add_row(
            kind,
            f"{sum(ends.values()):,}",
            *(f"{sum(n for (e, _), n in ends.items() if e == end):,}" for end in ("answered", "closed")),
            *(
                ", ".join(f"{n:,} × {d}" for (e, d), n in sorted(ends.items()) if e == end)
                for end in ("refused", "broken")
            ),
            f"{sum(n for (e, _), n in ends.items() if e == 'lost'):,}",
        )
    return table


def _interactions(books: Books, recorded: Recorded) -> Table:
    table = Table(title=f"Recorded: {recorded.total:,}; calls the router counted: {recorded.calls:,}")
    for column in ("route", "calls made", "perhaps made", "recorded", "completed", "failed", "cancelled"):
        table.add_column(column, justify="left" if column == "route" else "right")
    for route in sorted({name for name, _ in recorded.kept} | books.reached.keys()):
        made = f"{books.reached[route]:,}" if route in books.reached else "by tasks"
        states = (f"{recorded.kept[route, status]:,}" for status in ("completed", "failed", "cancelled"))
        table.add_row(route, made, f"{books.perhaps.get(route, 0):,}", f"{recorded.of(route):,}", *states)
    return table


def _memory(traces: Iterable[Trace]) -> Table:
    table = Table(title="Private memory in MiB")
    for column in ("process", "first", "highest", "last", "growth in the last third", "an hour", "verdict"):
        table.add_column(column, justify="left" if column in ("process", "verdict") else "right")
    for trace in traces:
        figures = (trace.private[0], max(trace.private), trace.private[-1])
        growth = (f"{trace.growth:+.1f}", f"{trace.growth_per_hour:+.1f}")
        verdict = "bounded" if trace.bounded else "[red]grows"
        table.add_row(trace.name, *(f"{figure:,.1f}" for figure in figures), *growth, verdict)
    return table


def _complaints(books: Books, recorded: Recorded, sampler: Sampler) -> list[str]:
    """What speaks against the platform; nothing when it passed."""
    found = [f"lost: {line}" for line in books.lost[:20]]
    if recorded.total != recorded.calls:
        found.append(f"{recorded.calls:,} calls came to the router, {recorded.total:,} are recorded")
    for route, made in books.reached.items():
        if not made <= recorded.of(route) <= made + books.perhaps.get(route, 0):
            found.append(f"{route}: {made:,} calls were made, {recorded.of(route):,} are recorded")
    left = books.count("closed")
    if recorded.cancelled < _STOPPED * left:
        found.append(f"{left:,} callers left early, and only {recorded.cancelled:,} calls were stopped")
    found += [f"{name} was started again" for name in sampler.started_again]
    found += [
        f"{trace.name} still grows: {trace.growth:+.1f} MiB" for trace in sampler.traces.values() if not trace.bounded
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reports/soak"))
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Platform(Path(folder) / "data", _ENVIRONMENT) as platform,
    ):
        books, recorded, sampler = asyncio.run(soak(platform, asked.minutes, asked.rate, asked.seed))
    traces = [trace for _, trace in sorted(sampler.traces.items())]
    asked.out.mkdir(parents=True, exist_ok=True)
    sampler.write_csv(asked.out / "memory.csv")
    (asked.out / "memory.svg").write_text(svg(traces), encoding="utf-8")
    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in (_requests(books), _interactions(books, recorded), _memory(traces)):
        console.print(table)
    complaints = _complaints(books, recorded, sampler)
    for complaint in complaints:
        console.print(complaint, style="red", markup=False)
    console.print(f"{'FAILED' if complaints else 'PASSED'}; memory over time is in {asked.out}/memory.svg and .csv")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
