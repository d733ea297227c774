"""`make bench-workflows`: steps a second and latency of durable three-step runs, beside DBOS Transact, in one run.

Both work on the same Postgres, which syncs each commit to disk, with steps that answer at once: what is seen is the
engine's own cost. They take turns, and each figure is the median of its rounds. All run on this machine's cores:
ratios travel, absolute figures do not.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from embedded.servers import start_servers
from tests.bench.workflows.ours import STEPS, Job, Kind, Seen

_PATIENCE = 600
_PEER = Path(__file__).with_name("peer.py")
_PEERS_DATABASE = "dbos"


@dataclass(frozen=True)
class Scenario:
    """`peer_runs` is 0 where the peer is not asked."""

    name: str
    kind: Kind
    in_flight: int
    runs: int
    peer_runs: int = 0


LONE = Scenario("one run at a time", "lone", 1, 200, 60)
CROWDS = (
    Scenario("32 runs in flight", "crowd", 32, 2000, 200),
    Scenario("100 runs in flight", "crowd", 100, 2000, 300),
)
FEW_QUEUED = Scenario("1,000 runs queued", "queued", 64, 1000)
MANY_QUEUED = Scenario("10,000 runs queued", "queued", 64, 10_000)


class Contenders:
    """Both sides on one Postgres. Each measurement is a process of its own."""

    def __init__(self, environment: Mapping[str, str], peer_url: str, peer_python: Path) -> None:
        self._environment = {**os.environ, **environment, "PLATFORM_LOG_LEVEL": "WARNING"}
        self._peer_url = peer_url
        self._peer_python = peer_python

    def ours(self, scenario: Scenario) -> Seen:
        job = Job(scenario.kind, scenario.runs, scenario.in_flight)
        return self._run([sys.executable, "-m", "tests.bench.workflows.ours"], asdict(job))

    def peer(self, scenario: Scenario) -> Seen:
        job = {**asdict(Job(scenario.kind, scenario.peer_runs, scenario.in_flight)), "url": self._peer_url}
        return self._run([str(self._peer_python), str(_PEER)], job)

    def _run(self, command: Sequence[str], job: Mapping[str, Any]) -> Seen:
        done = subprocess.run(
            [*command, json.dumps(job)],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
        return Seen(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as name, _contenders(Path(name), options.dbos) as contenders:
        rounds = range(options.rounds)
        with console.status("one run at a time"):
            lone = [(contenders.ours(LONE), contenders.peer(LONE)) for _ in rounds]
        with console.status("many in flight"):
            crowds = {crowd: [(contenders.ours(crowd), contenders.peer(crowd)) for _ in rounds] for crowd in CROWDS}
        with console.status("many queued"):
            queued = [(contenders.ours(FEW_QUEUED), contenders.ours(MANY_QUEUED)) for _ in rounds]
    _show_lone(console, lone)
    for crowd, seen in crowds.items():
        _show_crowd(console, crowd, seen)
    _show_queued(console, queued)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-workflows", description=__doc__)
    parser.add_argument("--dbos", type=Path, required=True, help="an environment that has DBOS Transact")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (default: 3)")
    return parser.parse_args()


@contextmanager
def _contenders(directory: Path, peer_environment: Path) -> Iterator[Contenders]:
    with start_servers(directory / "servers", fsync=True) as endpoints:
        url = endpoints.administrator.database_url
        asyncio.run(_create_database(url))
        peer_url = f"{url.rsplit('/', 1)[0]}/{_PEERS_DATABASE}"
        yield Contenders(endpoints["orchestrator"].environment(), peer_url, peer_environment / "bin" / "python")


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {_PEERS_DATABASE}")
    await connection.close()


Rounds = Sequence[tuple[Seen, Seen]]


def _show_lone(console: Console, rounds: Rounds) -> None:
    table = _table(LONE.name, "p50 ms", "p95 ms")
    for name, seen in zip(("LLM Platform", "DBOS Transact"), zip(*rounds, strict=True), strict=True):
        p50, p95 = (statistics.median(values) * 1e3 for values in ((s.p50 for s in seen), (s.p95 for s in seen)))
        table.add_row(name, f"{p50:,.1f}", f"{p95:,.1f}")
    console.print(table)


def _show_crowd(console: Console, crowd: Scenario, rounds: Rounds) -> None:
    table = _table(crowd.name, "steps/s")
    ours = statistics.median(_rate(crowd.runs, seen) for seen, _ in rounds)
    peer = statistics.median(_rate(crowd.peer_runs, seen) for _, seen in rounds)
    table.add_row("LLM Platform", f"{ours:,.0f}")
    table.add_row("DBOS Transact", f"{peer:,.0f}")
    console.print(table)
    console.print(f"   {ours / peer:,.1f} times as many\n")


def _show_queued(console: Console, rounds: Rounds) -> None:
    table = _table("drained by one worker, 64 steps at once", "µs/step")
    few = statistics.median(1e6 / _rate(FEW_QUEUED.runs, seen) for seen, _ in rounds)
    many = statistics.median(1e6 / _rate(MANY_QUEUED.runs, seen) for _, seen in rounds)
    table.add_row(FEW_QUEUED.name, f"{few:,.0f}")
    table.add_row(MANY_QUEUED.name, f"{many:,.0f}")
    console.print(table)
    console.print(f"   {(many / few - 1):+.0%} a step\n")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("engine")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _rate(runs: int, seen: Seen) -> float:
    """Steps a second."""
    return runs * STEPS / seen.seconds


if __name__ == "__main__":
    main()
