"""A KoboldAI server over real HTTP whose answers a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Json = dict[str, Any]


@dataclass
class Kobold:
    """Answers with `tokens`. A token is a word here: that is how it counts."""

    tokens: list[str] = field(default_factory=lambda: ["One", " two", " three"])
    model: str = "koboldcpp/tiny"
    context: int = 100
    counts: bool = True
    """Whether it has KoboldCpp's `extra` calls besides the stream."""
    says_why: bool = True
    """Whether its streams end with a reason."""
    busy: int = 0
    """Requests that it turns away first."""
    hangs: bool = False
    """Goes silent after the first token, until it is aborted."""
    asked: list[Json] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    abort: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def routes(self) -> list[web.RouteDef]:
        known = [
            web.get("/api/v1/model", self._model),
            web.post("/api/v1/generate", self._generate),
            web.post("/api/extra/generate/stream", self._stream),
            web.post("/api/extra/abort", self._abort),
        ]
        if self.counts:
            known += [
                web.get("/api/extra/true_max_context_length", self._context),
                web.post("/api/extra/tokencount", self._count),
            ]
        return known

    async def _model(self, _request: web.Request) -> web.Response:
        return web.json_response({"result": self.model})

    async def _context(self, _request: web.Request) -> web.Response:
        return web.json_response({"value": self.context})

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"value": len((await request.json())["prompt"].split()), "ids": []})

    async def _begin(self, request: web.Request) -> web.Response | None:
        self.asked.append(await request.json())
        self.reached.set()
        if self.busy:
            self.busy -= 1
            detail = {"msg": "Server is busy; please try again later.", "type": "service_unavailable"}
            return web.json_response({"detail": detail}, status=503)
        return None

    async def _generate(self, request: web.Request) -> web.Response:
        if (refusal := await self._begin(request)) is not None:
            return refusal
        if self.hangs:
            await self.abort.wait()
        return web.json_response({"results": [{"text": "".join(self.tokens)}]})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if (refusal := await self._begin(request)) is not None:
            return refusal
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for token in self.tokens:
            await response.write(self._event(token, None))
            if self.hangs:
                await self.abort.wait()
        if self.says_why:
            await response.write(self._event("", "stop"))
        return response

    def _event(self, token: str, reason: str | None) -> bytes:
        return b"event: message\ndata: " + orjson.dumps({"token": token, "finish_reason": reason}) + b"\n\n"

    async def _abort(self, request: web.Request) -> web.Response:
        self.aborted.append((await request.json())["genkey"])
        self.abort.set()
        return web.json_response({"success": "true"})


@asynccontextmanager
async def kobold_running(**options: Any) -> AsyncIterator[Kobold]:
    server = Kobold(**options)
    app = web.Application()
    app.add_routes(server.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.abort.set()
        await runner.cleanup()
