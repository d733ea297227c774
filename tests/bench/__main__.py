"""`make bench`: what the platform costs, each measured beside its peer in the same run, as a ratio.

Absolute figures are this machine's; the ratios are what to compare between machines and commits.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from embedded.platform import FREE_PORTS, Platform
from tests.bench import bus, completions, uploads
from tests.bench.measure import Comparison

Bench = Callable[[Platform], Awaitable[list[Comparison]]]
BENCHES: dict[str, Bench] = {
    "bus": bus.compare,
    "completions": completions.compare,
    "uploads": uploads.compare,
}


ENVIRONMENT = {
    **FREE_PORTS,
    # Limits are counted as ever; these are just never reached.
    "PLATFORM_USER_REQUESTS_PER_MINUTE": "100000000",
}


async def measure(names: list[str], console: Console) -> list[Comparison]:
    with tempfile.TemporaryDirectory() as directory, Platform(Path(directory) / "data", ENVIRONMENT) as platform:
        return [c for name in track(names, "measuring", console=console) for c in await BENCHES[name](platform)]


def main() -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    names = sys.argv[1:] or list(BENCHES)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        comparisons = runner.run(measure(names, console))
    table = Table(title="What it costs, beside its peer")
    for column in ("what", "ours", "peer", "peer is", "ours / peer"):
        table.add_column(column, justify="left" if column in ("what", "peer is") else "right")
    for c in comparisons:
        table.add_row(c.what, f"{c.ours:,.1f} {c.unit}", f"{c.peer:,.1f} {c.unit}", c.peer_name, f"{c.ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
