"""OpenAI's Responses API: a chat completion in another form, whole or as typed events."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import cast

from aiohttp import web

from contracts.base import Refused
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, Chat, ChatDelta, ChatReply
from gateway.deps import Deps
from gateway.domain.response_events import ResponseEvent, ResponseEvents, response
from gateway.domain.responses import ResponsesRequest
from gateway.edge.reading import read_request
from gateway.edge.responses import event_stream, json_response
from gateway.errors import openai_error
from gateway.handlers.chat import about_the_model
from gateway.routes.table import Route


async def respond_to(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """When the client goes away this is cancelled, which stops the engine's generation."""
    asked = cast(ResponsesRequest, await read_request(request, route))
    question = asked.question()
    try:
        if asked.stream:
            return await _stream(deps, asked, question, request)
        return json_response(response(asked, await deps.bus.ask(CHAT_COMPLETE, question)))
    except Refused as refusal:
        raise about_the_model(refusal) from None


async def _stream(deps: Deps, asked: ResponsesRequest, question: Chat, request: web.Request) -> web.StreamResponse:
    """Streams as pieces come; what is refused before the first is answered with its status."""
    stream = deps.bus.stream(CHAT_STREAM, question)
    async with aclosing(stream) as items:
        first = await anext(items)
        answer = event_stream()
        await answer.prepare(request)
        events = ResponseEvents(asked)
        try:
            await answer.write(_written([*events.opening(), *_told(events, first)]))
            async for item in items:
                await answer.write(_written(_told(events, item)))
        except Refused as refusal:
            await answer.write(_written(events.failure(openai_error(refusal).error.model_dump())))
        await answer.write_eof()
    return answer


def _told(events: ResponseEvents, item: ChatDelta | ChatReply) -> Iterable[ResponseEvent]:
    return events.delta(item) if isinstance(item, ChatDelta) else events.ending(item)


def _written(events: Iterable[ResponseEvent]) -> bytes:
    """Each event with the fields that its type has, and those whole."""
    return b"".join(
        f"event: {event.type}\ndata: {event.model_dump_json(include=event.model_fields_set)}\n\n".encode()
        for event in events
    )
