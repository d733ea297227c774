"""KoboldAI's API of a simulated engine."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps

from aiohttp import web
from pydantic import ValidationError

from engines.openai_wire import ApiError, invalid_request
from engines.server import cut_off, json_response, note_completion, open_event_stream
from engines.simulated import kobold_wire as wire
from engines.simulated.engine import SimulatedEngine
from engines.simulated.text import Cut, Reply

Method = Callable[["KoboldRoutes", web.Request], Awaitable[web.StreamResponse]]


def _kobold_errors(method: Method) -> Method:
    """Errors in the form of KoboldAI's API instead of OpenAI's."""

    @wraps(method)
    async def answered(self: "KoboldRoutes", request: web.Request) -> web.StreamResponse:
        try:
            return await method(self, request)
        except ValidationError as error:
            return json_response(wire.error_body(invalid_request(error).message, "bad_input"), 422)
        except ApiError as error:
            return json_response(wire.error_body(error.message, "server_error"), error.status)

    return answered


class KoboldRoutes:
    """Generation, streamed and not, its abort, and what the engine is."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self._settings = engine.settings
        self._aborts: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/model", self.model),
            web.get("/api/v1/info/version", self.version),
            web.get("/api/extra/version", self.extra_version),
            web.post("/api/v1/generate", self.generate),
            web.post("/api/extra/generate/stream", self.stream),
            web.post("/api/extra/abort", self.abort),
        ]

    async def model(self, _request: web.Request) -> web.Response:
        return json_response({"result": self._settings.model, "simulated": True})

    async def version(self, _request: web.Request) -> web.Response:
        return json_response({"result": wire.API_VERSION, "simulated": True})

    async def extra_version(self, _request: web.Request) -> web.Response:
        return json_response({**wire.KOBOLDCPP, "simulated": True, "name": self._settings.name})

    @_kobold_errors
    async def generate(self, request: web.Request) -> web.StreamResponse:
        asked = wire.GenerateRequest.model_validate_json(await request.read())
        reply = self._written(asked)
        run = self._engine.begin(reply.tokens)
        sent: list[str] = []
        with self._abortable(asked.genkey) as aborted:
            async with aclosing(self._engine.batches(run, aborted)) as batches:
                async for batch in batches:
                    sent.extend(batch)
        if run.fails:
            raise self._engine.failure()
        self._count(reply, len(sent))
        reason = reply.reason if len(sent) == len(reply.tokens) else "stop"
        return json_response(wire.result("".join(sent), reason, reply.prompt_tokens, len(sent)))

    @_kobold_errors
    async def stream(self, request: web.Request) -> web.StreamResponse:
        asked = wire.GenerateRequest.model_validate_json(await request.read())
        reply = self._written(asked)
        run = self._engine.begin(reply.tokens)
        response = await open_event_stream(request)
        sent = 0
        with self._abortable(asked.genkey) as aborted:
            async with aclosing(self._engine.batches(run, aborted)) as batches:
                async for batch in batches:
                    await response.write(wire.frames(batch))
                    sent += len(batch)
        if run.fails:
            return cut_off(request, response)
        reason = reply.reason if sent == len(reply.tokens) else "stop"
        await response.write(wire.frames([""], reason))
        self._count(reply, sent)
        return response

    async def abort(self, request: web.Request) -> web.Response:
        """Ends the generations of a key, or all that gave none; they answer with what they have so far."""
        body = await request.read()
        key = wire.AbortRequest.model_validate_json(body).genkey if body else ""
        running = self._aborts.get(key, set())
        for event in running:
            event.set()
        return json_response({"success": "true" if running else "false", "done": "true"})

    def _written(self, asked: wire.GenerateRequest) -> Reply:
        cut = Cut(asked.max_length, tuple(asked.stop_sequence or ()))
        return self._engine.author.write(asked.prompt, asked.prompt, cut)

    @contextmanager
    def _abortable(self, key: str) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._aborts[key].add(event)
        try:
            yield event
        finally:
            self._aborts[key].discard(event)
            if not self._aborts[key]:
                del self._aborts[key]

    def _count(self, reply: Reply, sent: int) -> None:
        self._engine.load.count(reply.prompt_tokens, sent)
        note_completion(self._settings.model, reply.prompt_tokens, sent)
