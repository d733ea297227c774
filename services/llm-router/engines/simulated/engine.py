"""How fast a simulated engine answers and when it fails, as its settings say."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from engines.load import Load
from engines.openai_wire import ApiError
from engines.simulated.settings import SimulatedSettings
from engines.simulated.text import Author


@dataclass(frozen=True)
class Pace:
    """When each token is due: the first after `latency` seconds, the others at `tokens_per_second`."""

    latency: float
    tokens_per_second: float

    @property
    def instant(self) -> bool:
        return not self.latency and not self.tokens_per_second

    async def batches(
        self, tokens: Sequence[str], aborted: asyncio.Event | None = None
    ) -> AsyncGenerator[Sequence[str], None]:
        """The tokens in groups, as they fall due; without a pace all at once. `aborted` ends them early.

        Each is due at a fixed time after the start, so a late one does not delay those that follow.
        """
        if self.latency and await _aborted_within(self.latency, aborted):
            return
        if not self.tokens_per_second:
            yield tokens
            return
        clock = asyncio.get_running_loop().time
        start, sent = clock(), 0
        while sent < len(tokens):
            due = min(int((clock() - start) * self.tokens_per_second) + 1, len(tokens))
            if due > sent:
                yield tokens[sent:due]
                sent = due
            elif await _aborted_within(start + sent / self.tokens_per_second - clock(), aborted):
                return


async def _aborted_within(seconds: float, aborted: asyncio.Event | None) -> bool:
    """Waits `seconds`, or until `aborted` is set."""
    if aborted is None:
        await asyncio.sleep(seconds)
        return False
    try:
        async with asyncio.timeout(seconds):
            return await aborted.wait()
    except TimeoutError:
        return False


@dataclass(frozen=True)
class Run:
    """One answer on its way: the tokens that will be sent, and whether the request fails after them."""

    tokens: Sequence[str]
    fails: bool


class SimulatedEngine:
    """What the endpoints of both APIs share: an author, a pace, failures and a count of the work."""

    def __init__(self, settings: SimulatedSettings) -> None:
        self.settings = settings
        self.author = Author(settings.name)
        self.load = Load()
        self._pace = Pace(settings.latency, settings.tokens_per_second)
        self._dice = random.Random(settings.fail_seed)  # noqa: S311 - decides which requests fail, no secret

    def begin(self, tokens: Sequence[str]) -> Run:
        """Decides whether this request fails. Raises ApiError if it does so before its first token."""
        fails = self.settings.fail_rate > 0 and self._dice.random() < self.settings.fail_rate
        if fails and not self.settings.fail_after_tokens:
            raise self.failure()
        return Run(tokens[: self.settings.fail_after_tokens] if fails else tokens, fails)

    async def batches(self, run: Run, aborted: asyncio.Event | None = None) -> AsyncGenerator[Sequence[str], None]:
        """The tokens of `run` in groups, at the engine's pace. Whether it then fails is for the caller to see to."""
        self.load.running += 1
        try:
            async for batch in self._pace.batches(run.tokens, aborted):
                yield batch
        finally:
            self.load.running -= 1

    async def finish(self, tokens: Sequence[str]) -> None:
        """Takes the time that all tokens take. Raises ApiError if this request was chosen to fail."""
        run = self.begin(tokens)
        if not self._pace.instant:
            async for _ in self.batches(run):
                pass
        if run.fails:
            raise self.failure()

    def failure(self) -> ApiError:
        return ApiError(
            self.settings.fail_status,
            "This simulated engine was told to fail a share of its requests.",
            kind="server_error",
            code="simulated_failure",
        )
