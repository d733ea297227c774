"""OpenAI's completions, whole or streamed, and its embeddings: questions over the bus, and no database."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from aiohttp import web

from contracts.base import Empty, RefusalCode, Refused, Rpc, Stream
from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    EMBED,
    LIST_SERVED_MODELS,
    TEXT_COMPLETE,
    TEXT_STREAM,
    ChatDelta,
    ChatReply,
)
from gateway.deps import Deps
from gateway.domain.chat import ChatChunks, ChatRequest, Json, NamedModel, completion, find_model
from gateway.domain.embeddings import EmbeddingsRequest, embedding_list
from gateway.domain.text import CompletionRequest, TextChunks, text_completion
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response, plain_json
from gateway.edge.streams import tell_answer
from gateway.errors import openai_error
from gateway.routes.table import Route

_DONE = b"data: [DONE]\n\n"

Asked = ChatRequest | CompletionRequest
Chunks = ChatChunks | TextChunks


@dataclass(frozen=True)
class _Api:
    """What tells the two APIs for completions apart."""

    rpc: Rpc[Any, ChatReply]
    stream: Stream[Any, ChatDelta, ChatReply]
    whole: Callable[[ChatReply], Json]
    chunks: Callable[[Any], Chunks]


_CHAT = _Api(CHAT_COMPLETE, CHAT_STREAM, completion, ChatChunks)
_TEXT = _Api(TEXT_COMPLETE, TEXT_STREAM, text_completion, TextChunks)


async def complete_chat(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    return await _complete(deps, cast(ChatRequest, await read_request(request, route)), _CHAT, request)


async def complete_text(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    return await _complete(deps, cast(CompletionRequest, await read_request(request, route)), _TEXT, request)


async def embed(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(EmbeddingsRequest, await read_request(request, route))
    try:
        replies = [await deps.bus.ask(EMBED, question) for question in asked.questions()]
    except Refused as refusal:
        raise about_the_model(refusal) from None
    return json_response(embedding_list(asked, replies))


async def get_model(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedModel, await read_request(request, route))
    return json_response(find_model(await deps.bus.ask(LIST_SERVED_MODELS, Empty()), asked.model))


async def _complete(deps: Deps, asked: Asked, api: _Api, request: web.Request) -> web.StreamResponse:
    """When the client goes away this is cancelled, which stops the engine's generation."""
    try:
        if asked.stream:
            batches = deps.bus.batches(api.stream, asked.question())
            return await tell_answer(request, batches, _Told(api.chunks(asked)), deps.settings.heartbeat_seconds)
        return plain_json(request, api.whole(await deps.bus.ask(api.rpc, asked.question())))
    except Refused as refusal:
        raise about_the_model(refusal) from None


class _Told:
    """A completion in chunks. Pieces of nothing but text differ in that alone: the rest is encoded once."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._around: dict[int, tuple[bytes, bytes]] = {}

    def opening(self) -> bytes:
        return _events(self._chunks.opening())

    def pieces(self, pieces: list[ChatDelta]) -> bytes:
        return b"".join([self._event(piece) for piece in pieces])

    def ending(self, reply: ChatReply) -> bytes:
        return _events(self._chunks.ending(reply)) + _DONE

    def failure(self, refusal: Refused) -> bytes:
        return _event(openai_error(about_the_model(refusal)).model_dump(exclude_unset=True))

    def _event(self, piece: ChatDelta) -> bytes:
        if "extra" in piece or "tool_calls" in piece or "logprobs" in piece:
            return _event(self._chunks.delta(piece))
        index = piece.get("index", 0)
        return orjson.dumps(piece.get("content", "")).join(self._around.get(index) or self._learn(index))

    def _learn(self, index: int) -> tuple[bytes, bytes]:
        """What is around the text of a choice. NUL stands for the text: no request can have one."""
        head, _, tail = _event(self._chunks.delta(ChatDelta(index=index, content="\0"))).partition(b'"\\u0000"')
        self._around[index] = around = head, tail
        return around


def _events(bodies: Iterable[Json]) -> bytes:
    return b"".join(map(_event, bodies))


def _event(body: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(body)


def about_the_model(refusal: Refused) -> Refused:
    """The one thing that a completion can fail to find is its model."""
    if refusal.code is not RefusalCode.NOT_FOUND:
        return refusal
    return Refused(refusal.code, refusal.message, {"param": "model", **refusal.metadata})
