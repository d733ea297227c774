"""Those who watch runs, lose their connection again and again, and come back with the id of what they saw last."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

import aiohttp

from tests.chaos.clients import Client
from tests.chaos.history import LAST_EVENTS, History, Told

_PAUSE = 0.3
_HEARTBEAT = 3.0
_SILENCE = 6.0
"""Seconds without a word, of which the gateway says one every two, after which a follower takes it for dead."""
_LONGEST_STAY = 15.0
_CLOSING = aiohttp.ClientWSTimeout(ws_close=1.0)


class Watcher:
    """Watches all runs from the first message on, over `/ws`, with breaks of its own as its dice say."""

    def __init__(self, name: str, client: Client, history: History, seed: int) -> None:
        self.name = name
        self.last = 0
        self.ended: set[int] = set()
        self._client = client
        self._history = history
        self._dice = random.Random(f"chaos/{seed}/{name}")

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                # A socket that is left on purpose is what phones in tunnels do.
                async with asyncio.timeout(self._dice.uniform(1, _LONGEST_STAY)):
                    await self._connected()
            await asyncio.sleep(_PAUSE)

    async def watch_all_of(self, run_ids: set[int], patience: float) -> None:
        """Returns when the last message of each of these runs has come, or after `patience` seconds."""
        watching = asyncio.create_task(self.watch())
        try:
            async with asyncio.timeout(patience):
                while not run_ids <= self.ended:  # noqa: ASYNC110 - `watch` goes on for ever
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            return
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _connected(self) -> None:
        url = f"{self._client.gateway(self._dice)}/ws?last_event_id={self.last}"
        async with self._client.session.ws_connect(url, heartbeat=_HEARTBEAT, timeout=_CLOSING) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._hear(json.loads(message.data))

    def _hear(self, event: dict[str, Any]) -> None:
        told = told_of(self.name, event)
        self.last = told.id
        self._history.told.append(told)
        if told.type in LAST_EVENTS:
            self.ended.add(told.run_id)


async def follow(client: Client, history: History, seed: int, run_id: int) -> None:
    """Follows one run to its end as server-sent events, with `Last-Event-ID` after each break."""
    name = f"follower-of-{run_id}"
    dice = random.Random(f"chaos/{seed}/{name}")
    last = 0
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
            url, headers = f"{client.gateway(dice)}/api/runs/{run_id}/events", {"Last-Event-ID": str(last)}
            async with client.session.get(url, headers=headers, timeout=timeout) as response:
                async for line in response.content:
                    if response.status != 200 or not line.startswith(b"data: "):
                        continue
                    event = json.loads(line.removeprefix(b"data: "))
                    if "type" not in event:
                        # The stream says that it is over, and how the run ended.
                        return
                    history.told.append(told_of(name, event))
                    last = event["id"]
        await asyncio.sleep(_PAUSE)


def told_of(who: str, event: dict[str, Any]) -> Told:
    data = event["data"]
    return Told(who, event["id"], data["runId"], event["type"], data.get("payloadId"), data.get("content"))
