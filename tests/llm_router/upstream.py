"""An OpenAI-compatible engine over real HTTP that a test can make slow, wrong, full or dead."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Json = dict[str, Any]
Fault = Callable[["Upstream", web.Request, Json], Awaitable[web.StreamResponse | None]]

WORDS = ("One", " two", " three")
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


@dataclass
class Upstream:
    """Answers every completion with `WORDS`. `faults` come first, one for each request; None falls through."""

    models: list[Json] = field(default_factory=lambda: [{"id": "m", "object": "model", "max_model_len": 2048}])
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    loads: list[Json] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    load_answers: deque[tuple[int, str]] = field(default_factory=deque)
    unload_answers: deque[tuple[int, str]] = field(default_factory=deque)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client goes away before its answer has ended."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a completion is asked for."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    """What `hang` waits for."""
    slow_load: float = 0.0
    """Seconds that loading an adapter takes."""
    broken_list: int = 0
    """A status that the model list answers with instead."""
    tokenizes: bool = False
    """Whether it counts tokens, its words, for whoever asks: as vLLM and llama.cpp's server do."""
    counted: list[Json] = field(default_factory=list)
    silent: bool = False
    """Whether it lists its models no sooner than the test lets it go, as one that hangs."""
    url: str = ""
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/models", self._list),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._chat),
                web.post("/v1/load_lora_adapter", self._load),
                web.post("/v1/unload_lora_adapter", self._unload),
                web.post("/tokenize", self._tokenize),
                web.post("/apply-template", self._apply_template),
            ]
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def names(self) -> list[str]:
        return [model["id"] for model in self.models]

    async def _list(self, _request: web.Request) -> web.Response:
        if self.silent:
            await self.let_go.wait()
        if self.broken_list:
            return error(self.broken_list, "no list")
        return web.json_response({"object": "list", "data": self.models})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.reached.set()
        try:
            if self.faults:
                response = await self.faults.popleft()(self, request, body)
                if response is not None:
                    return response
            if body["model"] not in self.names():
                return error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
            return await (stream(request, body) if body["stream"] else whole(body))
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.counted.append(body)
        if not self.tokenizes:
            return error(404, "Not Found")
        if "content" in body:
            return web.json_response({"tokens": body["content"].split()})
        text = body["prompt"] if "prompt" in body else _rendered(body["messages"])
        return web.json_response({"count": len(text.split())})

    async def _apply_template(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": _rendered(orjson.loads(await request.read())["messages"])})

    async def _load(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.loads.append(body)
        await asyncio.sleep(self.slow_load)
        if self.load_answers:
            return error(*self.load_answers.popleft())
        if body["lora_name"] in self.names():
            return error(400, f"The lora adapter '{body['lora_name']}' has already been loaded.")
        self.models.append({"id": body["lora_name"], "object": "model", "parent": body["base_model_name"]})
        return web.Response(text="Success")

    async def _unload(self, request: web.Request) -> web.Response:
        name = orjson.loads(await request.read())["lora_name"]
        self.unloads.append(name)
        if self.unload_answers:
            return error(*self.unload_answers.popleft())
        if name not in self.names():
            return error(404, f"The lora adapter '{name}' cannot be found.")
        self.models = [model for model in self.models if model["id"] != name]
        return web.Response(text="Success")


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Upstream]:
    upstream = Upstream(**options)
    await upstream.start()
    try:
        yield upstream
    finally:
        upstream.let_go.set()
        await upstream.stop()


def _rendered(messages: list[Json]) -> str:
    """As a chat template would: the role is a token of its own, and so is the opening of the answer."""
    return " ".join([*(f"<{message['role']}> {message['content']}" for message in messages), "<assistant>"])


def error(status: int, message: str, code: str | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "error", "code": code}}, status=status)


async def uncounted(_upstream: "Upstream", request: web.Request, body: Json) -> web.StreamResponse:
    """An answer that does not say how many tokens it took."""
    if body["stream"]:
        response = await open_stream(request)
        for word in WORDS:
            await response.write(frame({"content": word}))
        await response.write(frame({}, "stop") + b"data: [DONE]\n\n")
        return response
    choice = {"message": {"content": "".join(WORDS)}} if "messages" in body else {"text": "".join(WORDS)}
    return web.json_response({"choices": [{"index": 0, **choice, "finish_reason": "stop"}]})


async def whole(body: Json) -> web.Response:
    message = {"role": "assistant", "content": "".join(WORDS)}
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    )


def frame(delta: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + orjson.dumps({"id": "chatcmpl-1", "choices": [choice]}) + b"\n\n"


async def open_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


async def stream(request: web.Request, _body: Json) -> web.StreamResponse:
    response = await open_stream(request)
    await response.write(frame({"role": "assistant", "content": ""}))
    for word in WORDS:
        await response.write(frame({"content": word}))
    await response.write(frame({}, "stop"))
    await response.write(b"data: " + orjson.dumps({"choices": [], "usage": USAGE}) + b"\n\ndata: [DONE]\n\n")
    return response


# Faults


def status(code: int, message: str = "no", error_code: str | None = None, retry_after: str | None = None) -> Fault:
    async def fault(_upstream: Upstream, _request: web.Request, _body: Json) -> web.StreamResponse:
        response = error(code, message, error_code)
        if retry_after is not None:
            response.headers["Retry-After"] = retry_after
        return response

    return fault


def body_of(data: bytes) -> Fault:
    async def fault(_upstream: Upstream, _request: web.Request, _body: Json) -> web.StreamResponse:
        return web.Response(body=data, content_type="application/json")

    return fault


def raw_stream(*parts: bytes) -> Fault:
    """A stream that consists of these parts, properly ended as HTTP goes."""

    async def fault(_upstream: Upstream, request: web.Request, _body: Json) -> web.StreamResponse:
        response = await open_stream(request)
        for part in parts:
            await response.write(part)
        return response

    return fault


def cut_after(*parts: bytes) -> Fault:
    """A connection that breaks after these parts, as when the engine dies."""

    async def fault(_upstream: Upstream, request: web.Request, _body: Json) -> web.StreamResponse:
        response = await open_stream(request)
        for part in parts:
            await response.write(part)
        await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    return fault


def redirect(place: str) -> Fault:
    async def fault(_upstream: Upstream, _request: web.Request, _body: Json) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": place})

    return fault


def raw_bytes(data: bytes) -> Fault:
    """What comes over the connection is no HTTP of ours."""

    async def fault(_upstream: Upstream, request: web.Request, _body: Json) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(data)
        request.transport.close()
        return web.Response()

    return fault


async def drop(_upstream: Upstream, request: web.Request, _body: Json) -> web.StreamResponse:
    """The connection is closed without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(upstream: Upstream, _request: web.Request, _body: Json) -> None:
    """Answers nothing until the test lets it go."""
    await upstream.let_go.wait()


async def hang_after_a_word(upstream: Upstream, request: web.Request, _body: Json) -> web.StreamResponse:
    response = await open_stream(request)
    await response.write(frame({"content": WORDS[0]}))
    await upstream.let_go.wait()
    return response
