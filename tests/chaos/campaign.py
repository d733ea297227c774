"""One campaign: callers, watchers and workers go about their business, the adversary about his, and all is judged."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
from pydantic import SecretStr

from common.bus import Bus
from common.settings import ServiceSettings
from tests.chaos import workers
from tests.chaos.adversary import Adversary
from tests.chaos.checks import Verdict, bills_match_what_was_served, judge
from tests.chaos.clients import Client
from tests.chaos.engine import CountingEngine, serving
from tests.chaos.history import ENDED, History, Hit
from tests.chaos.house import ADMIN_KEY, House
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Deed, plan
from tests.chaos.stories import Caller, Story, Workflows, cast, define
from tests.chaos.triggers import Hurry
from tests.chaos.watchers import Watcher, follow
from tests.chaos.wiretap import Wiretap
from tests.chaos.workers import Worker

_CRASHES = re.compile(
    r"handler_crashed|background_task_crashed|results_not_recorded|step_crashed|execution_crashed|answer_not_sent"
    r"|interaction_spilled|violates (?!unique constraint \"\w+_idempotency_key\")|deadlock"
)
"""That a key comes twice at once is expected, and its constraint is how that is found out."""
_MOST_CRASHES = 20
_NOTICED = re.compile(
    r"\b(process_died|postgres_unavailable|nats_disconnected|step_expired|worker_waits|beat_waits|relay_waits|reaper_waits"
    r"|completion_waits|interactions_wait|follow_again|consumer_waits)\b"
)
_FOLLOWED = 4
"""Of so many runs one is followed as server-sent events."""
_RUNS_PER_JOB = 6
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Settings:
    """`seconds` is how long the adversary is at work. He does something every `pause` seconds on average."""

    seed: int
    seconds: float
    runs: int
    pause: float = 2.0
    patience: float = 120.0
    """Seconds after the last deed in which all runs must end."""


@dataclass
class Progress:
    """What a live view shows."""

    began: float = field(default_factory=time.monotonic)
    started: int = 0
    ended: int = 0
    deeds: int = 0
    last_deed: str = ""
    phase: str = "starting"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Outcome:
    settings: Settings
    plan: list[Deed]
    stories: list[Story]
    history: History
    verdicts: list[Verdict]

    @property
    def complaints(self) -> list[str]:
        return [f"{verdict.name}: {line}" for verdict in self.verdicts for line in verdict.complaints]


async def campaign(house: House, settings: Settings, progress: Progress) -> Outcome:
    """Lets the adversary loose on a house that nobody used before."""
    history = History()
    deeds = plan(settings.seed, settings.seconds, house.fleet, pause=settings.pause)
    stories = cast(settings.seed, settings.runs)
    engine = CountingEngine(latency=0.1, tokens_per_second=120)
    async with AsyncExitStack() as stack:
        counted, refusing = await stack.enter_async_context(serving(engine))
        client = await stack.enter_async_context(_client(house, history))
        tap = await Wiretap.on(house.administrator)
        stack.push_async_callback(tap.close)
        workflows = await define(client, counted, refusing)
        ledger = Ledger(house.administrator.database_url, history)
        progress.phase = "under attack"

        def tell(what: Deed | Hit) -> None:
            if isinstance(what, Hit):
                history.hits.append(what)
            else:
                progress.deeds, progress.last_deed = progress.deeds + 1, str(what).strip()

        async with AsyncExitStack() as background:
            await background.enter_async_context(_in_background(ledger.watch))
            for number in range(2):
                watcher = Watcher(f"watcher-{number}", client, history, settings.seed)
                await background.enter_async_context(_in_background(watcher.watch))
            await background.enter_async_context(_workers(house, history, settings.seed))
            world = _World(client, workflows, history, settings, progress)
            callers = asyncio.create_task(world.run(stories))
            async with _schedules_in_a_hurry(house, workflows, history, settings.seed):
                away = await Adversary(house, tap, settings.seed, tell).carry_out(deeds)
            progress.phase = "settling"
            await _ended(callers, settings.patience)
            await ledger.settle()
            await _told_to_the_end(client, history, settings)
        history.servings = list(engine.servings)
        await _billed(tap, ledger, history)
        history.left["processes that did not come back"] = len(away)
    lines = house.log_lines
    history.crashes = [line for line in lines if _CRASHES.search(line)][:_MOST_CRASHES]
    history.noticed = Counter(found[0] for line in lines if (found := _NOTICED.search(line)) is not None)
    progress.phase = "judged"
    return Outcome(settings, deeds, stories, history, judge(history))


class _World:
    """All callers, one after the other at a steady pace, and those who submit jobs or follow a run."""

    def __init__(
        self, client: Client, workflows: Workflows, history: History, settings: Settings, progress: Progress
    ) -> None:
        self._client = client
        self._workflows = workflows
        self._history = history
        self._settings = settings
        self._progress = progress

    async def run(self, stories: list[Story]) -> None:
        """Returns when every story has ended."""
        pace = self._settings.seconds / max(len(stories), 1)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, story in enumerate(stories):
                await asyncio.sleep(began + number * pace - time.monotonic())
                group.create_task(self._tell(story, number))
                if number % _RUNS_PER_JOB == 0:
                    group.create_task(workers.want(self._client, self._history, self._settings.seed, number))

    async def _tell(self, story: Story, number: int) -> None:
        self._progress.started += 1
        seed = self._settings.seed
        caller = Caller(self._client, self._workflows, self._history, seed, number)
        following = asyncio.create_task(self._follow(caller)) if number % _FOLLOWED == 0 else None
        await story(caller)
        if following is not None and caller.run_id.done():
            await following
        elif following is not None:
            following.cancel()
        self._progress.ended += 1

    async def _follow(self, caller: Caller) -> None:
        await follow(self._client, self._history, self._settings.seed, await caller.run_id)


async def _ended(callers: "asyncio.Task[None]", patience: float) -> None:
    """Waits for all callers; those who are still waiting then have been forgotten, as the checks will say."""
    await asyncio.wait({callers}, timeout=patience)
    if not callers.done():
        callers.cancel()
        with suppress(asyncio.CancelledError):
            await callers
    elif not callers.cancelled():
        callers.result()


async def _told_to_the_end(client: Client, history: History, settings: Settings) -> None:
    """One who comes late is told all of it again; and those who watched get the time to hear the last of it."""
    ended = {sight.run_id for sight in history.sights if sight.status in ENDED}
    await Watcher("latecomer", client, history, settings.seed).watch_all_of(ended, 30.0)
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        heard = dict.fromkeys(("watcher-0", "watcher-1"), 0)
        heard |= {event.who: event.id for event in history.told if event.who in heard}
        if min(heard.values()) >= max((e.id for e in history.told if e.who == "latecomer"), default=0):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _billed(tap: Wiretap, ledger: Ledger, history: History) -> None:
    """Reads the ledger when all interactions are written down; what a router took that died comes again after ten
    seconds."""
    deadline = time.monotonic() + _RECORDING_SECONDS
    while True:
        waiting = await tap.records()
        await ledger.read()
        complete = not waiting and not any(bills_match_what_was_served(history))
        if complete or time.monotonic() > deadline:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    history.left["messages with interactions"] = waiting


_RECORDING_SECONDS = 30.0


@asynccontextmanager
async def _client(house: House, history: History) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Client(session, house.gateways, history)


@asynccontextmanager
async def _workers(house: House, history: History, seed: int) -> AsyncIterator[None]:
    found = house.endpoints["trainer"]
    settings = ServiceSettings(
        nats_url=found.nats_url, nats_user=found.nats_user, nats_password=SecretStr(found.nats_password)
    )
    bus = await Bus.connect(settings, "trainer")
    numbers = count(1)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(bus.close, 0.1)
        for number in range(2):
            name = f"worker-{number}"
            worker = Worker(bus, name, history, random.Random(f"chaos/{seed}/{name}"), numbers)
            await stack.enter_async_context(_in_background(worker.work))
        yield


@asynccontextmanager
async def _schedules_in_a_hurry(house: House, workflows: Workflows, history: History, seed: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for schedule_id in workflows.schedules:
            dice = random.Random(f"chaos/{seed}/schedule-{schedule_id}")
            hurry = Hurry(house.administrator.database_url, schedule_id, history, dice)
            await stack.enter_async_context(_in_background(hurry.hurry))
        yield


@asynccontextmanager
async def _in_background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
