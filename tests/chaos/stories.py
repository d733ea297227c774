"""What callers want of the platform: workflows of every kind, and what is done with their runs."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.clients import Client
from tests.chaos.engine import BREAKS, REFUSES
from tests.chaos.history import ENDED, History

Json = dict[str, Any]

COUNTED_PORT, REFUSING_PORT = 5801, 5802
"""Ports that name the instances: the counting engine, and the one that refuses everything."""

_HARDLY_EVER = "0 0 29 2 *"
"""When schedules are due, but for the starts that are brought forward."""
_LOOK_SECONDS = 0.6
_TASK = "1. Research three engines.\n2. Compare their speed.\n3. Write a recommendation."
ATTEMPTS = {"retries": 3, "timeout": 30}
"""Few, and short: what the adversary does is neither to cost an attempt nor to make one too long."""
COMPLETED = frozenset({"completed"})
_FAILED = frozenset({"failed"})
_CANCELLED_OR_NOT = frozenset({"cancelled", "completed"})


@dataclass(frozen=True)
class Workflows:
    """The ids of what is executed. `hook` is the path of webhook `hook_id`; `schedules` are those of `plain`."""

    plain: int
    graph: int
    listed: int
    frail: int
    fallback: int
    approved: int
    hook: str
    hook_id: int
    schedules: tuple[int, ...]


async def define(client: Client, counted: str, refusing: str) -> Workflows:
    """Registers the engines at these URLs as instances and makes the workflows."""
    dice = random.Random(0)
    for port, name, url in ((COUNTED_PORT, "counted", counted), (REFUSING_PORT, "refusing", refusing)):
        body = {"port": port, "name": name, "provider_type": "openai", "api_base": f"{url}/v1"}
        await client.make(dice, "/api/llm/instances", body)

    async def workflow(name: str, *payloads: Json) -> int:
        ids = [await _payload(client, dice, fields) for fields in payloads]
        made: int = (await client.make(dice, "/api/workflows", {"name": name, "payloads": ids}))["id"]
        return made

    plain = await workflow("plain", _says("one"), _says("two", "{one}"), _says("three", "{two}"))
    hook = await client.make(dice, f"/api/workflows/{plain}/webhooks", {"name": "hook"})
    schedules = []
    for overlap in ("skip", "queue"):
        body = {"cron": _HARDLY_EVER, "inputs": {"tag": f"schedule-{overlap}"}, "overlap": overlap}
        schedules.append((await client.make(dice, f"/api/workflows/{plain}/schedules", body))["id"])
    return Workflows(
        plain=plain,
        graph=await workflow(
            "graph",
            _says("root", depends_on=[]),
            _says("left", "{root}", depends_on=["root"], model_format="mistral"),
            _says("right", "{root}", depends_on=["root"]),
            _says("never", depends_on=["root"], condition={"payload": "root", "operator": "is_empty"}),
            _says("join", "{left} {right}", depends_on=["left", "right", "never"]),
        ),
        listed=await workflow("listed", _says("each", mark="each/{item}", for_each="items"), _says("sum", "{each}")),
        frail=await workflow(
            "frail", _says("flaky", mark=f"flaky{REFUSES}"), _says("broken", "{flaky}", mark=f"broken{BREAKS}")
        ),
        fallback=await workflow(
            "fallback",
            _says("hopeless", llm_port=REFUSING_PORT, fallback_port=COUNTED_PORT),
            _says("after", "{hopeless}"),
        ),
        approved=await workflow("approved", _says("draft"), _says("publish", "{draft}", approval=True)),
        hook=hook["url"],
        hook_id=hook["id"],
        schedules=tuple(schedules),
    )


def _says(name: str, earlier: str = "", *, mark: str = "", **options: Any) -> Json:
    """A payload that asks under a mark of its own. Eight words stand between it and what others said, which engines
    would quote."""
    text = f"<<{{tag}}/{mark or name}>> Please say in a few plain words what follows: {earlier}"
    return {"name": name, "text": text, "response_length": 40, "llm_port": COUNTED_PORT, **ATTEMPTS, **options}


async def _payload(client: Client, dice: random.Random, fields: Json) -> int:
    text = fields.pop("text")
    block = await client.make(dice, "/api/blocks", {"title": fields["name"], "content": text})
    made: int = (await client.make(dice, "/api/payloads", {**fields, "blocks": [block["id"]]}))["id"]
    return made


class Caller:
    """One who wants one run, which has `run_id`, and does with it as its story goes. Its dice are its own."""

    def __init__(self, client: Client, workflows: Workflows, history: History, seed: int, number: int) -> None:
        self.dice = random.Random(f"chaos/{seed}/caller/{number}")
        self.name = f"caller-{number}"
        self.key = f"chaos-{seed}-{number}"
        self.workflows = workflows
        self.run_id: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._client = client
        self._history = history

    async def start(self, workflow_id: int, expected: frozenset[str] = COMPLETED, **inputs: Any) -> int:
        body = {"inputs": {"tag": self.key, **inputs}}
        return await self._started(f"/api/execute/workflow/{workflow_id}", body, self.key, expected)

    async def fork(self, run_id: int, from_payload: str) -> int:
        key = f"{self.key}-fork"
        body = {"inputs": {"tag": key}, "from_payload": from_payload}
        return await self._started(f"/api/runs/{run_id}/fork", body, key, COMPLETED)

    async def rerun(self, run_id: int, from_payload: str) -> int:
        path = f"/api/runs/{run_id}/rerun"
        return await self._started(path, {"from_payload": from_payload}, f"{self.key}-rerun", COMPLETED)

    async def call_hook(self) -> int:
        """A run by a webhook, as of some other system that knows each delivery by a name."""
        path, known_as = self.workflows.hook, f"webhook:{self.workflows.hook_id}:{self.key}"
        self._history.expected[known_as] = COMPLETED
        return self._known(await self._client.start(self.dice, path, {"tag": self.key}, self.key, known_as))

    async def ask_for_task(self) -> None:
        """Returns when it has ended."""
        self._history.expected[self.key] = COMPLETED
        body = {"prompt": f"<<{self.key}/step>>\n{_TASK}"}
        task_id = await self._client.submit(self.dice, "/api/v1/tasks", body, self.key, "task_id")
        while True:
            _, found = await self._client.surely(self.dice, "GET", f"/api/v1/tasks/{task_id}")
            if found["status"].lower() in ENDED:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _started(self, path: str, body: Json, key: str, expected: frozenset[str]) -> int:
        self._history.expected[key] = expected
        return self._known(await self._client.start(self.dice, path, body, key))

    def _known(self, run_id: int) -> int:
        if not self.run_id.done():
            self.run_id.set_result(run_id)
        return run_id

    async def some_time(self, longest: float = 3.0) -> None:
        await asyncio.sleep(self.dice.uniform(0, longest))

    async def steer(self, run_id: int, act: Any, **body: Any) -> int:
        return await self._client.steer(self.dice, run_id, act, body or None)

    async def look(self, run_id: int) -> Json:
        return await self._client.look(self.dice, run_id, self.name)

    async def end_of(self, run_id: int) -> Json:
        return await self.run_when(run_id, lambda run: run["status"] in ENDED)

    async def run_when(self, run_id: int, holds: Callable[[Json], bool]) -> Json:
        while not holds(run := await self.look(run_id)):  # noqa: ASYNC110 - nothing tells this caller when
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * _LOOK_SECONDS)
        return run


Story = Callable[[Caller], Awaitable[None]]


async def plain(caller: Caller) -> None:
    await caller.end_of(await caller.start(caller.workflows.plain))


async def graph(caller: Caller) -> None:
    await caller.end_of(await caller.start(caller.workflows.graph))


async def listed(caller: Caller) -> None:
    items = [f"item{number}" for number in range(caller.dice.randint(2, 5))]
    await caller.end_of(await caller.start(caller.workflows.listed, items=items))


async def frail(caller: Caller) -> None:
    await caller.end_of(await caller.start(caller.workflows.frail))


async def fallback(caller: Caller) -> None:
    await caller.end_of(await caller.start(caller.workflows.fallback))


async def cancelled(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.plain, _CANCELLED_OR_NOT)
    await caller.some_time()
    await caller.steer(run_id, "cancel")
    await caller.end_of(run_id)
    # Whoever looks later still finds it so.
    await caller.some_time()
    await caller.look(run_id)


async def paused(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.graph)
    await caller.some_time(1.5)
    await caller.steer(run_id, "pause")
    await caller.some_time()
    await caller.look(run_id)
    await caller.steer(run_id, "resume")
    await caller.end_of(run_id)


async def approved(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.approved)
    await caller.run_when(run_id, _waits)
    await caller.some_time()
    await caller.steer(run_id, "approve", payload="publish")
    await caller.end_of(run_id)


async def rejected(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.approved, _FAILED)
    await caller.run_when(run_id, _waits)
    await caller.steer(run_id, "reject", payload="publish", reason="Not like this")
    await caller.end_of(run_id)


async def forked(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.plain)
    await caller.end_of(run_id)
    await caller.end_of(await caller.fork(run_id, "two"))


async def repeated(caller: Caller) -> None:
    run_id = await caller.start(caller.workflows.plain)
    await caller.end_of(run_id)
    await caller.end_of(await caller.rerun(run_id, "three"))


async def called(caller: Caller) -> None:
    await caller.end_of(await caller.call_hook())


async def planned(caller: Caller) -> None:
    await caller.ask_for_task()


def _waits(run: Json) -> bool:
    return bool(run["metadata"]["awaiting_approval"]) or run["status"] in ENDED


STORIES: dict[Story, int] = {
    plain: 4,
    graph: 4,
    listed: 3,
    frail: 3,
    fallback: 2,
    cancelled: 3,
    paused: 2,
    approved: 2,
    rejected: 1,
    forked: 1,
    repeated: 1,
    called: 2,
    planned: 2,
}
"""How often each comes."""


def cast(seed: int, count: int) -> list[Story]:
    """Who comes, in order: each story in its turn as often as it is to, shuffled by the seed."""
    deck = [story for story, times in STORIES.items() for _ in range(times)]
    dice = random.Random(f"chaos/{seed}/stories")
    chosen: list[Story] = []
    while len(chosen) < count:
        chosen += dice.sample(deck, len(deck))
    return chosen[:count]
