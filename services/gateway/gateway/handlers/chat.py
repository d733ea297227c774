"""OpenAI's chat completions, whole or streamed: one question over the bus, and no database."""

import time
import uuid
from contextlib import aclosing
from typing import cast

from aiohttp import web
from pydantic import BaseModel

from contracts.base import Empty, RefusalCode, Refused
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, LIST_SERVED_MODELS, ChatDelta, ChatReply
from gateway.deps import Deps
from gateway.domain.chat import ChatRequest, Chunks, NamedModel, completion, find_model
from gateway.edge.reading import read_request
from gateway.edge.responses import event_stream, json_response
from gateway.errors import openai_error
from gateway.routes.table import Route

_DONE = b"data: [DONE]\n\n"


async def complete_chat(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ChatRequest, await read_request(request, route))
    try:
        if asked.stream:
            return await _stream(deps, asked, request)
        return json_response(completion(await deps.bus.ask(CHAT_COMPLETE, asked.chat())), omit_unset=True)
    except Refused as refusal:
        raise _about_the_model(refusal) from None


async def get_model(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedModel, await read_request(request, route))
    return json_response(find_model(await deps.bus.ask(LIST_SERVED_MODELS, Empty()), asked.model))


async def _stream(deps: Deps, asked: ChatRequest, request: web.Request) -> web.StreamResponse:
    """Streams as chunks come. When the client goes away this is cancelled, which stops the engine's generation."""
    stream = deps.bus.stream(CHAT_STREAM, asked.chat())
    async with aclosing(stream) as items:
        # A refusal before the first token still has a status of its own.
        first = await anext(items)
        response = event_stream()
        await response.prepare(request)
        chunks = Chunks(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked)
        try:
            await response.write(_event(chunks.role()))
            await _send(response, chunks, first)
            async for item in items:
                await _send(response, chunks, item)
            await response.write(_DONE)
        except Refused as refusal:
            # No [DONE]: a stream that broke off must not look finished.
            await response.write(_event(openai_error(refusal)))
        await response.write_eof()
    return response


async def _send(response: web.StreamResponse, chunks: Chunks, item: ChatDelta | ChatReply) -> None:
    if isinstance(item, ChatDelta):
        await response.write(_event(chunks.delta(item)))
    else:
        await response.write(b"".join(_event(chunk) for chunk in chunks.ending(item)))


def _event(body: BaseModel) -> bytes:
    return b"data: " + body.model_dump_json(exclude_unset=True).encode() + b"\n\n"


def _about_the_model(refusal: Refused) -> Refused:
    """The one thing that a completion can fail to find is its model."""
    if refusal.code is not RefusalCode.NOT_FOUND:
        return refusal
    return Refused(refusal.code, refusal.message, {"param": "model", **refusal.metadata})
