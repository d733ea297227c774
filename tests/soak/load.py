"""The mixed load: callers of many kinds at a steady rate, each of whom ends up in the books with what became of it."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson

MODELS = ("simulated-small", "simulated-medium")
PATIENCE = 60.0
"""Seconds after which a caller who got no answer counts as lost."""
_MOST_AT_ONCE = 400
_WORDS = ("the", "model", "reads", "what", "people", "wrote", "and", "says", "what", "may", "come", "next", "today")

Json = dict[str, Any]
End = Literal["answered", "refused", "broken", "closed", "lost"]
"""What became of a request: a whole answer, a refusal with a status, a stream that told of its failure, closed by
the caller on purpose; or lost, which is none of these."""


@dataclass
class Books:
    """What the callers saw.

    `reached` counts, by the platform's route, calls that are certain to have come to the router; `perhaps` those that
    were given up so early that they may not have.
    """

    ends: dict[tuple[str, End, str], int] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    perhaps: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def enter(self, kind: str, end: End, detail: str = "") -> None:
        self.ends[kind, end, detail] = self.ends.get((kind, end, detail), 0) + 1

    def count(self, end: End) -> int:
        return sum(number for (_, what, _), number in self.ends.items() if what == end)

    @property
    def total(self) -> int:
        return sum(self.ends.values())

    def calls(self, route: str, number: int = 1) -> None:
        self.reached[route] = self.reached.get(route, 0) + number

    def may_call(self, route: str) -> None:
        self.perhaps[route] = self.perhaps.get(route, 0) + 1


class Callers:
    """Makes requests of all kinds to the gateway at `url`, as one user."""

    def __init__(self, session: aiohttp.ClientSession, url: str, seed: int) -> None:
        self.books = Books()
        self._session = session
        self._url = url
        self.dice = random.Random(seed)
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    async def call(self, rate: float, seconds: float) -> None:
        """`rate` requests a second for `seconds`, whether or not the ones before have ended; then waits for all."""
        kinds, weights = zip(*_KINDS.items(), strict=True)
        started, number = time.monotonic(), 0
        while (due := number / rate) < seconds:
            await asyncio.sleep(max(0.0, started + due - time.monotonic()))
            await self._room.acquire()
            (kind,) = self.dice.choices(kinds, weights)
            task = asyncio.create_task(self._one(kind))
            self._running.add(task)
            task.add_done_callback(self._ended)
            number += 1
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.release()

    async def _one(self, kind: "Kind") -> None:
        name = kind.__name__.replace("_", " ")
        try:
            end, detail = await kind(self)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            end, detail = "lost", type(error).__name__
            self.books.lost.append(f"{time.strftime('%H:%M:%S')} {name}: {error!r}")
        self.books.enter(name, end, detail)

    # What the kinds are made of

    def text(self) -> str:
        return " ".join(self.dice.choices(_WORDS, k=self.dice.randint(3, 120)))

    def chat(self, **fields: Any) -> Json:
        messages = [{"role": "user", "content": self.text()}]
        return {"model": self.dice.choice(MODELS), "messages": messages, **fields}

    def patience(self) -> float:
        """How long a caller waits who then hangs up."""
        return self.dice.uniform(0.02, 0.2)

    async def ask(self, path: str, body: Json | bytes, **options: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self._session.post(self._url + path, data=data, **options) as response:
            return response.status, orjson.loads(await response.read())

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self._url + path) as response:
            return response.status, orjson.loads(await response.read())

    async def events(self, path: str, body: Json) -> AsyncGenerator[Json | None, None]:
        """The data of a stream's events; None for `[DONE]`. A refusal is its only event."""
        async with self._session.post(self._url + path, data=orjson.dumps(body)) as response:
            if response.status != 200:
                yield {"status": response.status}
                return
            async for line in response.content:
                if line.startswith(b"data:"):
                    data = line[5:].strip()
                    yield None if data == b"[DONE]" else orjson.loads(data)


Kind = Callable[[Callers], Awaitable[tuple[End, str]]]


def _seen(status: int) -> tuple[End, str]:
    return ("answered", "") if status < 400 else ("refused", str(status))


async def whole_chat(callers: Callers) -> tuple[End, str]:
    callers.books.calls("chat")
    return _seen((await callers.ask("/v1/chat/completions", callers.chat()))[0])


async def streamed_chat(callers: Callers) -> tuple[End, str]:
    callers.books.calls("chat")
    async with aclosing(callers.events("/v1/chat/completions", callers.chat(stream=True))) as events:
        async for event in events:
            if event is None:
                return "answered", ""
            if "status" in event:
                return "refused", str(event["status"])
            if "error" in event:
                return "broken", str(event["error"]["code"])
    raise ValueError("a stream ended without saying so")


async def stream_closed_half_way(callers: Callers) -> tuple[End, str]:
    callers.books.calls("chat")
    async with aclosing(callers.events("/v1/chat/completions", callers.chat(stream=True))) as events:
        async for event in events:
            if event is None or "error" in event or "status" in event:
                return "answered", ""
            if event["choices"] and event["choices"][0]["delta"].get("content"):
                break
    return "closed", ""


async def hang_up_while_waiting(callers: Callers) -> tuple[End, str]:
    callers.books.may_call("chat")
    try:
        async with asyncio.timeout(callers.patience()):
            return _seen((await callers.ask("/v1/chat/completions", callers.chat(max_tokens=64)))[0])
    except TimeoutError:
        return "closed", ""


async def response(callers: Callers) -> tuple[End, str]:
    callers.books.calls("responses")
    body = {"model": MODELS[0], "input": callers.text()}
    return _seen((await callers.ask("/v1/responses", body))[0])


async def streamed_response(callers: Callers) -> tuple[End, str]:
    callers.books.calls("responses")
    body = {"model": MODELS[0], "input": callers.text(), "stream": True}
    last: Json = {}
    async with aclosing(callers.events("/v1/responses", body)) as events:
        async for event in events:
            last = event or last
    if "status" in last:
        return "refused", str(last["status"])
    if last.get("type") == "error":
        return "broken", str(last["code"])
    if last.get("type") in ("response.completed", "response.incomplete"):
        return "answered", ""
    raise ValueError("a stream ended without saying so")


async def two_texts(callers: Callers) -> tuple[End, str]:
    callers.books.calls("completions")
    body = {"model": MODELS[1], "prompt": [callers.text(), callers.text()], "max_tokens": 24}
    return _seen((await callers.ask("/v1/completions", body))[0])


async def embeddings(callers: Callers) -> tuple[End, str]:
    callers.books.calls("embeddings")
    body = {"model": MODELS[0], "input": [callers.text() for _ in range(4)]}
    return _seen((await callers.ask("/v1/embeddings", body))[0])


async def tested_prompt(callers: Callers) -> tuple[End, str]:
    callers.books.calls("test")
    body = {"prompt": "Go on:", "input": callers.text(), "model_name": MODELS[0], "max_tokens": 50}
    return _seen((await callers.ask("/api/v1/llm/test", body))[0])


async def direct_task(callers: Callers) -> tuple[End, str]:
    return await _task(callers, "What is the capital of France?")


async def planned_task(callers: Callers) -> tuple[End, str]:
    return await _task(callers, "1. Name three engines.\n2. Compare their speed.\n3. Write a recommendation.")


async def _task(callers: Callers, prompt: str) -> tuple[End, str]:
    """Waits until the task has ended, however. How often it asked a model is its own affair."""
    deadline = time.monotonic() + 2 * PATIENCE
    status, task = await callers.ask("/api/v1/tasks", {"prompt": prompt})
    if status != 200:
        return _seen(status)
    while task["status"] in ("Planned", "Processing"):
        if time.monotonic() > deadline:
            raise TimeoutError(task["task_id"])
        await asyncio.sleep(0.5)
        _, task = await callers.get(f"/api/v1/tasks/{task['task_id']}")
    return ("answered", "") if task["status"] == "Completed" else ("refused", task["status"])


async def unknown_model(callers: Callers) -> tuple[End, str]:
    callers.books.calls("chat")
    return _seen((await callers.ask("/v1/chat/completions", {**callers.chat(), "model": "nobody"}))[0])


async def bad_input(callers: Callers) -> tuple[End, str]:
    """What the gateway refuses by itself: none of these is a call to a model."""
    bad: list[Json | bytes] = [b"{", b'{"model": "x"}', callers.chat(temperature=9), callers.chat(messages=[])]
    body = callers.dice.choice(bad)
    return _seen((await callers.ask("/v1/chat/completions", body))[0])


async def stranger(callers: Callers) -> tuple[End, str]:
    headers = {"Authorization": "Bearer llmp_000000000000_nobody"}
    return _seen((await callers.ask("/v1/chat/completions", callers.chat(), headers=headers))[0])


async def reader(callers: Callers) -> tuple[End, str]:
    paths = ("/v1/models", "/api/v1/llm/interactions?limit=5", "/api/v1/metrics", "/api/v1/jobs", "/health")
    return _seen((await callers.get(callers.dice.choice(paths)))[0])


_KINDS: dict[Kind, int] = {
    whole_chat: 28,
    streamed_chat: 24,
    stream_closed_half_way: 10,
    hang_up_while_waiting: 4,
    response: 3,
    streamed_response: 3,
    two_texts: 5,
    embeddings: 6,
    tested_prompt: 5,
    direct_task: 2,
    planned_task: 1,
    unknown_model: 1,
    bad_input: 3,
    stranger: 1,
    reader: 4,
}
"""How often each kind comes, of a hundred."""
