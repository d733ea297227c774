"""Callers who do not give up: any gateway, again and again, under the same idempotency key, until one answers."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.chaos.history import Accepted, Act, History, Reading, Sight, Steered

Json = dict[str, Any]

_REQUEST_SECONDS = 8.0
_PAUSE = 0.3
_RATE_LIMITED = 429


class Client:
    """All callers of a campaign, as one administrator. What they are told goes into `history`."""

    def __init__(self, session: aiohttp.ClientSession, gateways: Sequence[str], history: History) -> None:
        self.session = session
        self._gateways = gateways
        self._history = history
        self._states: dict[tuple[str, int], str] = {}
        self._readings: set[tuple[str, int, int, str]] = set()

    def gateway(self, dice: random.Random) -> str:
        return dice.choice(self._gateways)

    async def surely(
        self, dice: random.Random, method: str, path: str, body: Json | None = None, key: str | None = None
    ) -> tuple[int, Any]:
        """The first answer that is one, which may be a refusal. Never gives up."""
        headers = {} if key is None else {"Idempotency-Key": key}
        while True:
            try:
                async with (
                    asyncio.timeout(_REQUEST_SECONDS),
                    self.session.request(method, self.gateway(dice) + path, json=body, headers=headers) as response,
                ):
                    if response.status < 500 and response.status != _RATE_LIMITED:
                        return response.status, await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_PAUSE)

    async def make(self, dice: random.Random, path: str, body: Json) -> Json:
        """What is made by a request that must succeed."""
        status, made = await self.surely(dice, "POST", path, body)
        assert status < 300, f"{path}: {status} {made}"
        result: Json = made
        return result

    async def start(self, dice: random.Random, path: str, body: Json, key: str, known_as: str | None = None) -> int:
        """The run that became of it; the platform may know the start by another key."""
        answers = await self.impatiently(dice, path, body, key)
        for answer in answers:
            self._history.accepted.append(Accepted(known_as or key, answer["runId"], time.time()))
        run_id: int = answers[0]["runId"]
        return run_id

    async def submit(self, dice: random.Random, path: str, body: Json, key: str, name: str) -> str:
        """What the job or task that became of it is called, which its answer says under `name`."""
        answers = await self.impatiently(dice, path, body, key)
        self._history.jobs_accepted += [(key, answer[name]) for answer in answers]
        known: str = answers[0][name]
        return known

    async def impatiently(self, dice: random.Random, path: str, body: Json, key: str) -> list[Json]:
        """As `surely`, of what must succeed. Some callers ask twice at once."""
        askers = 2 if dice.random() < 0.3 else 1
        answers = await asyncio.gather(*(self.surely(dice, "POST", path, body, key) for _ in range(askers)))
        for status, answer in answers:
            assert status < 300, f"{path} under {key}: {status} {answer}"
        return [answer for _, answer in answers]

    async def steer(self, dice: random.Random, run_id: int, act: Act, body: Json | None = None) -> int:
        """The status of the answer."""
        asked = time.time()
        status, _ = await self.surely(dice, "POST", f"/api/runs/{run_id}/{act}", body)
        self._history.steered.append(Steered(run_id, act, asked, time.time(), status))
        return status

    async def look(self, dice: random.Random, run_id: int, who: str) -> Json:
        """The run with its responses, as one who looks again and again sees it."""
        status, run = await self.surely(dice, "GET", f"/api/execute/run/{run_id}")
        assert status == 200, f"run {run_id} is gone: {status} {run}"
        if self._states.get((who, run_id)) != run["status"]:
            self._states[who, run_id] = run["status"]
            self._history.sights.append(Sight(who, run_id, run["status"], time.time()))
        for response in run["responses"]:
            reading = (who, run_id, response["payload_id"], response["content"])
            if reading not in self._readings:
                self._readings.add(reading)
                self._history.readings.append(Reading(*reading))
        found: Json = run
        return found
