"""`make bench-burst`: a user's 10,000 runs at once over the whole path, another's ten behind them, and cancelling.

Gateway, orchestrator, router and an engine that takes a second for an answer are processes of their own, as
`make run` starts them, each commit synced to disk. A run has one payload. The callers share the cores with all of it.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.table import Table

from embedded.demo.api import Api
from embedded.platform import FREE_PORTS, Platform
from tests.llm_router.upstream import Upstream, running

_FEW = 10
_CALLERS = 32
_PATIENCE = 1800.0
_LATENCY = 1.0
"""Seconds that the engine takes for an answer: slower than runs are accepted, so that they have to queue."""
_ENVIRONMENT = {
    **FREE_PORTS,
    "PLATFORM_USER_REQUESTS_PER_MINUTE": "100000000",
    "PLATFORM_LOG_LEVEL": "WARNING",
    "PLATFORM_SIMULATED_LATENCY": str(_LATENCY),
}
_TOKEN = b'data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a"}]}\n\n'


@dataclass(frozen=True)
class Burst:
    """Seconds: `accepting` all runs of the one, `answers` to each of those requests, `alone` each of the other's runs
    on an idle platform and `behind` them in the burst, `draining` until all had ended."""

    runs: int
    accepting: float
    answers: Sequence[float]
    alone: Sequence[float]
    behind: Sequence[float]
    draining: float


@dataclass(frozen=True)
class Cancelled:
    """Seconds from the request: `shown` until the run was cancelled, `quiet` until no engine worked for it any more."""

    state: str
    shown: float
    quiet: float


def main() -> None:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as name, Platform(Path(name) / "data", _ENVIRONMENT) as platform:
        burst, cancelled = asyncio.run(_measured(platform, options.runs, options.rounds))
    _show_burst(console, burst)
    _show_cancelled(console, cancelled)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-burst", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="of the burst (default: 10,000)")
    parser.add_argument("--rounds", type=int, default=5, help="of cancelling in each state (default: 5)")
    return parser.parse_args()


async def _measured(platform: Platform, runs: int, rounds: int) -> tuple[Burst, list[Cancelled]]:
    async with Api(platform.url, platform.admin_key) as admin:
        instances: Any = await admin.get("/api/llm/instances")
        port = next(one["port"] for one in instances if one["name"].startswith("Simulated"))
        made = await _workflow(admin, {"llm_port": port})
        async with _member(platform, admin, "many") as many, _member(platform, admin, "few") as few:
            burst = await _burst(many, few, admin, made, runs)
        return burst, await _cancelling(admin, rounds)


@asynccontextmanager
async def _member(platform: Platform, admin: Api, name: str) -> AsyncIterator[Api]:
    key = await admin.post("/api/v1/keys", {"name": name, "role": "member"})
    async with Api(platform.url, key["key"]) as caller:
        yield caller


async def _workflow(caller: Api, *payloads: dict[str, Any]) -> int:
    block = await caller.post("/api/blocks", {"title": "Say", "content": "Say it: {item}"})
    ids = []
    for number, payload in enumerate(payloads):
        body = {"name": f"p{number}", "blocks": [block["id"]], "response_length": 8, "model_format": "raw", **payload}
        ids.append((await caller.post("/api/payloads", body))["id"])
    made: int = (await caller.post("/api/workflows", {"name": "w", "payloads": ids}))["id"]
    return made


async def _burst(many: Api, few: Api, admin: Api, made: int, runs: int) -> Burst:
    await _few(few, made)
    alone = await _few(few, made)
    answers: list[float] = []
    numbers = iter(range(runs))

    async def starting() -> None:
        for _ in numbers:
            seconds = await _seconds(lambda: many.post(f"/api/execute/workflow/{made}", {}))
            answers.append(seconds)

    began = time.perf_counter()
    await asyncio.gather(*(starting() for _ in range(_CALLERS)))
    accepting = time.perf_counter() - began
    behind = await _few(few, made)
    async with asyncio.timeout(_PATIENCE):
        while await admin.get("/api/runs?status=running&limit=1"):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.2)
    return Burst(runs, accepting, answers, alone, behind, time.perf_counter() - began)


async def _few(caller: Api, made: int) -> list[float]:
    """How long each of a few runs took, that were started at once."""

    async def run() -> None:
        run_id = (await caller.post(f"/api/execute/workflow/{made}", {}))["runId"]
        await _until(caller, run_id, "completed")

    return await asyncio.gather(*(_seconds(run) for _ in range(_FEW)))


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _until(caller: Api, run_id: int, status: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while (run := await caller.get(f"/api/runs/{run_id}"))["status"] == "running":  # noqa: ASYNC110 - another process knows
            await asyncio.sleep(0.02)
    assert run["status"] == status, run["error"]


# Cancelling


class SlowEngine:
    """Streams a token every 50 ms for as long as anybody listens."""

    def __init__(self) -> None:
        self.streams = 0

    async def drip(self, _: Upstream, request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        self.streams += 1
        try:
            await response.prepare(request)
            while True:
                await response.write(_TOKEN)
                await asyncio.sleep(0.05)
        finally:
            self.streams -= 1

    async def until(self, number: int) -> None:
        async with asyncio.timeout(60):
            while self.streams != number:  # noqa: ASYNC110 - an event would have to be set for each number
                await asyncio.sleep(0.002)


async def _cancelling(admin: Api, rounds: int) -> list[Cancelled]:
    slow = SlowEngine()
    async with running(faults=_Always(slow.drip)) as upstream:
        await admin.post("/api/llm/instances", {"port": upstream.port, "name": "Slow", "api_base": upstream.url})
        seen = [await _cancel_in_each_state(admin, slow, upstream.port) for _ in range(rounds)]
    return [
        Cancelled(of_state[0].state, max(one.shown for one in of_state), max(one.quiet for one in of_state))
        for of_state in zip(*seen, strict=True)
    ]


class _Always:
    """A fault for every request."""

    def __init__(self, fault: Any) -> None:
        self._fault = fault

    def popleft(self) -> Any:
        return self._fault


async def _cancel_in_each_state(admin: Api, slow: SlowEngine, port: int) -> list[Cancelled]:
    payload = {"llm_port": port}
    answered = await _workflow(admin, payload)
    asks_a_person = await _workflow(admin, payload | {"approval": True})
    of_items = await _workflow(admin, payload | {"for_each": "item"})

    async def cancelled(state: str, made: int, streams: int, **inputs: Any) -> Cancelled:
        run_id = (await admin.post(f"/api/execute/workflow/{made}", {"inputs": inputs}))["runId"]
        await slow.until(streams)
        if state == "paused":
            await admin.post(f"/api/runs/{run_id}/pause", {})
        began = time.perf_counter()
        await admin.post(f"/api/runs/{run_id}/cancel", {})
        shown = time.perf_counter() - began
        await slow.until(0)
        quiet = time.perf_counter() - began
        assert (await admin.get(f"/api/runs/{run_id}"))["status"] == "cancelled"
        return Cancelled(state, shown, quiet)

    return [
        await cancelled("running", answered, 1),
        await cancelled("paused", answered, 1),
        await cancelled("for_each, 8 items of 100", of_items, 8, item=["x"] * 100),
        await cancelled("waiting for approval", asks_a_person, 0),
    ]


def _show_burst(console: Console, seen: Burst) -> None:
    table = Table(title=f"{seen.runs:,} runs of one user at once", title_justify="left", show_header=False)
    rate, p99 = seen.runs / seen.accepting, statistics.quantiles(seen.answers, n=100)[-1]
    table.add_row("accepted", f"{seen.accepting:,.1f} s", f"{rate:,.0f} a second, p99 {p99 * 1e3:,.0f} ms")
    table.add_row("drained", f"{seen.draining:,.1f} s", f"{(seen.runs + _FEW) / seen.draining:,.0f} runs a second")
    for what, seconds in (("idle", seen.alone), ("behind them", seen.behind)):
        figures = f"median {statistics.median(seconds) * 1e3:,.0f} ms, longest {max(seconds) * 1e3:,.0f} ms"
        table.add_row(f"another's {_FEW} runs, {what}", figures, "")
    console.print(table)


def _show_cancelled(console: Console, seen: Sequence[Cancelled]) -> None:
    table = Table(title="cancelling, the longest of all rounds", title_justify="left")
    for column in ("state", "shown as cancelled, ms", "engine quiet, ms"):
        table.add_column(column)
    for one in seen:
        table.add_row(one.state, f"{one.shown * 1e3:,.0f}", f"{one.quiet * 1e3:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
