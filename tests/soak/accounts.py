"""What the platform has recorded, and what its router says it was asked: two counts that have to be the same."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_PAGE = 100
_SETTLING = 60.0
_COMPLETIONS = "router_completions"


@dataclass(frozen=True)
class Recorded:
    """`kept` interactions as the API lists them, by route and status; `calls` as the router counted them itself."""

    kept: Counter[tuple[str, str]]
    calls: int

    @property
    def total(self) -> int:
        return sum(self.kept.values())

    @property
    def cancelled(self) -> int:
        return sum(number for (_, status), number in self.kept.items() if status == "cancelled")

    def of(self, route: str) -> int:
        return sum(number for (name, _), number in self.kept.items() if name == route)


async def settled(session: aiohttp.ClientSession, url: str, router_metrics: str) -> Recorded:
    """The accounts once interactions have caught up with calls, or have had a minute to do so."""
    deadline = time.monotonic() + _SETTLING
    while True:
        calls = await _router_calls(session, router_metrics)
        total = (await _page(session, url, None, limit=1))["total"]
        if total == calls == await _router_calls(session, router_metrics) or time.monotonic() > deadline:
            return Recorded(await _kept(session, url), calls)
        await asyncio.sleep(0.5)


async def _router_calls(session: aiohttp.ClientSession, router_metrics: str) -> int:
    async with session.get(router_metrics) as response:
        families = text_string_to_metric_families(await response.text())
    return sum(
        int(sample.value)
        for family in families
        if family.name == _COMPLETIONS
        for sample in family.samples
        if sample.name == f"{_COMPLETIONS}_total"
    )


async def _kept(session: aiohttp.ClientSession, url: str) -> Counter[tuple[str, str]]:
    """Every interaction there is, one by one: a sum would not show one that is listed twice."""
    kept: Counter[tuple[str, str]] = Counter()
    ids: set[str] = set()
    cursor: str | None = None
    while True:
        page = await _page(session, url, cursor, limit=_PAGE)
        for item in page["items"]:
            if item["interaction_id"] not in ids:
                ids.add(item["interaction_id"])
                kept[item["route"], item["status"]] += 1
        if (cursor := page["next_cursor"]) is None:
            return kept


async def _page(session: aiohttp.ClientSession, url: str, cursor: str | None, limit: int) -> Any:
    after = f"&cursor={quote(cursor)}" if cursor is not None else ""
    async with session.get(f"{url}/api/v1/llm/interactions?limit={limit}{after}") as response:
        response.raise_for_status()
        return await response.json()
