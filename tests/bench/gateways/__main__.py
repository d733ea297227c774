"""`make bench-gateway`: throughput, CPU and latency of our gateway, bus and router beside other gateways, in one run.

Every contender stands in front of the same upstream, which answers at once, so that what is seen is the gateway's own
cost. All run on this machine's cores, with the upstream and the callers: ratios travel, absolute figures do not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.bench.gateways import contenders
from tests.bench.gateways.contenders import Contender
from tests.bench.gateways.load import Job, Seen

_WARM_SECONDS = 1.0
_PROMPT = "Explain in one paragraph what a gateway in front of language models is for. " * 4


@dataclass(frozen=True)
class Scenario:
    name: str
    concurrency: int
    stream: bool


@dataclass(frozen=True)
class Result:
    """`cpu` is seconds of CPU by part of the contender."""

    scenario: Scenario
    contender: str
    seen: Seen
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.seen.requests / self.seen.seconds

    @property
    def microseconds(self) -> float:
        """CPU time of one request, over all of the contender's processes."""
        return sum(self.cpu.values()) / max(self.seen.requests, 1) * 1e6


SCENARIOS = (
    *(Scenario(f"{n} at once", n, stream=False) for n in (1, 16, 64, 256)),
    Scenario("50 streams", 50, stream=True),
)


def main() -> None:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        with console.status("starting the contenders"):
            running = list(_start(stack, directory, options))
        pairs = [(scenario, contender) for scenario in SCENARIOS for contender in running]
        results = [_measure(s, c, options.seconds) for s, c in track(pairs, "measuring", console=console)]
    _show(console, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-gateway", description=__doc__)
    parser.add_argument("--litellm", type=Path, help="an environment that has LiteLLM's proxy")
    parser.add_argument("--tensorzero", type=Path, help="an environment that has TensorZero")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default: 5)")
    return parser.parse_args()


def _start(stack: ExitStack, directory: Path, options: argparse.Namespace) -> Iterator[Contender]:
    port = contenders.free_port()
    yield stack.enter_context(contenders.upstream(port, directory / "upstream.log"))
    yield stack.enter_context(contenders.platform(port, directory))
    if options.litellm:
        yield stack.enter_context(contenders.litellm(port, directory, options.litellm))
    if options.tensorzero:
        yield stack.enter_context(contenders.tensorzero(port, directory, options.tensorzero))


def _measure(scenario: Scenario, contender: Contender, seconds: float) -> Result:
    body = {"model": contender.model, "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 64}
    text = json.dumps(body | ({"stream": True} if scenario.stream else {}))
    _load(Job(contender.url, contender.key, text, scenario.concurrency, _WARM_SECONDS))
    before = contender.cpu_seconds()
    seen = _load(Job(contender.url, contender.key, text, scenario.concurrency, seconds))
    after = contender.cpu_seconds()
    return Result(scenario, contender.name, seen, {part: after[part] - before[part] for part in after})


def _load(job: Job) -> Seen:
    command = [sys.executable, "-m", "tests.bench.gateways.load", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=job.seconds + 120)
    return Seen(**json.loads(done.stdout))


def _show(console: Console, results: list[Result]) -> None:
    for scenario in SCENARIOS:
        rows = [result for result in results if result.scenario == scenario]
        floor = rows[0]
        table = Table(title=scenario.name, title_justify="left")
        table.add_column("gateway")
        columns = ("requests/s", "CPU µs/request", "p50 ms", "p99 ms", "p99 added ms", "chunks/s", "errors")
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(
                row.contender,
                f"{row.rate:,.0f}",
                f"{row.microseconds:,.0f}",
                f"{row.seen.p50 * 1e3:,.2f}",
                f"{row.seen.p99 * 1e3:,.2f}",
                f"{(row.seen.p99 - floor.seen.p99) * 1e3:,.2f}",
                f"{row.seen.chunks / row.seen.seconds:,.0f}" if scenario.stream else "",
                str(row.seen.errors),
            )
        console.print(table)
        _show_ratios(console, rows)


def _show_ratios(console: Console, rows: list[Result]) -> None:
    ours = rows[1]
    parts = ", ".join(f"{part} {seconds / max(ours.seen.requests, 1) * 1e6:,.0f}" for part, seconds in ours.cpu.items())
    console.print(f"   ours, CPU µs a request by part: {parts}")
    for peer in rows[2:]:
        cost = peer.microseconds / max(ours.microseconds, 1e-9)
        console.print(
            f"   beside {peer.contender}: {ours.rate / max(peer.rate, 1e-9):,.1f} times its requests/s,"
            f" 1/{cost:,.1f} of its CPU a request"
        )
    for row in rows:
        if row.seen.errors:
            console.print(f"   [red]{row.contender}: {row.seen.first_error[:300]}[/]")
    console.print()


if __name__ == "__main__":
    main()
