"""Simulated engines that keep account of the completions they were asked for, and fail where a prompt says so."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace

from aiohttp import web

from engines.openai_wire import ApiError
from engines.server import Handler, application, cut_off, listening, open_event_stream
from engines.simulated.engine import SimulatedEngine
from engines.simulated.openai_routes import OpenAIRoutes
from engines.simulated.settings import SimulatedSettings
from engines.simulated.text import Author, Cut, Reply
from tests.chaos.history import Serving

REFUSES, BREAKS = "!refuses", "!breaks"
"""A tag with one of these at its end gets no answer at first: a refusal, or a stream that breaks off."""

_TAG = re.compile(r"<<([^<>]{1,300})>>")
_number: ContextVar[int] = ContextVar("number")


def tag_of(prompt: str) -> str:
    """What the prompt is for: its first mark. Prompts quote earlier answers, and those their prompts."""
    found = _TAG.search(prompt)
    return found[1] if found is not None else ""


def numbers_in(content: str) -> list[int]:
    """The completions that a response is made of."""
    return [int(number) for number in re.findall(r"#(\d+)#", content)]


class CountingEngine:
    """What every completion of one engine came to. No two have the same words: each begins with its number."""

    def __init__(self, *, latency: float, tokens_per_second: float) -> None:
        self.servings: list[Serving] = []
        self._failed: set[str] = set()
        self._engine = SimulatedEngine(
            SimulatedSettings(model="counted", latency=latency, tokens_per_second=tokens_per_second)
        )
        self._engine.author = _NumberingAuthor("The counting engine")

    def application(self) -> web.Application:
        app = application(OpenAIRoutes(self._engine).table())
        app.middlewares.append(self._count)
        return app

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        tag = tag_of((await request.read()).decode())
        await self._fail_at_first(tag)
        place = len(self.servings)
        self.servings.append(Serving(place, tag, time.time(), None))
        if tag.endswith(BREAKS) and tag not in self._failed:
            self._failed.add(tag)
            return cut_off(request, await open_event_stream(request))
        _number.set(place)
        response = await handler(request)
        if response.status == 200:
            self.servings[place] = replace(self.servings[place], ended=time.time())
        return response

    async def _fail_at_first(self, tag: str) -> None:
        if tag.endswith(REFUSES) and tag not in self._failed:
            self._failed.add(tag)
            raise ApiError(503, "This engine was told to refuse at first.", kind="server_error", code="overloaded")


class _NumberingAuthor(Author):
    def write(self, prompt: str, echo: str, cut: Cut, prompt_tokens: int | None = None, *, choice: int = 0) -> Reply:
        reply = super().write(prompt, echo, cut, prompt_tokens, choice=choice)
        return replace(reply, tokens=[f"#{_number.get()}# ", *reply.tokens])


@asynccontextmanager
async def serving(engine: CountingEngine) -> AsyncIterator[tuple[str, str]]:
    """The URLs of the engine and of another one, which refuses everything."""
    refusing = SimulatedEngine(SimulatedSettings(model="refusing", fail_rate=1.0))
    async with AsyncExitStack() as stack:
        counted = await stack.enter_async_context(listening(engine.application(), "127.0.0.1", 0))
        other = application(OpenAIRoutes(refusing).table())
        yield counted, await stack.enter_async_context(listening(other, "127.0.0.1", 0))
