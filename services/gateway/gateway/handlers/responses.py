"""OpenAI's Responses API: a chat completion in another form, whole or as typed events."""

from collections.abc import Iterable
from typing import cast

from aiohttp import web

from contracts.base import Refused
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, ChatDelta, ChatReply
from gateway.deps import Deps
from gateway.domain.response_events import ResponseEvent, ResponseEvents, response
from gateway.domain.responses import ResponsesRequest
from gateway.edge.reading import read_request
from gateway.edge.responses import json_response
from gateway.edge.streams import tell_answer
from gateway.errors import openai_error
from gateway.handlers.chat import about_the_model
from gateway.routes.table import Route


async def respond_to(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """When the client goes away this is cancelled, which stops the engine's generation."""
    asked = cast(ResponsesRequest, await read_request(request, route))
    question = asked.question()
    try:
        if asked.stream:
            batches = deps.bus.batches(CHAT_STREAM, question)
            return await tell_answer(request, batches, _Told(asked), deps.settings.heartbeat_seconds)
        return json_response(response(asked, await deps.bus.ask(CHAT_COMPLETE, question)))
    except Refused as refusal:
        raise about_the_model(refusal) from None


class _Told:
    """A response in its typed events."""

    def __init__(self, asked: ResponsesRequest) -> None:
        self._events = ResponseEvents(asked)

    def opening(self) -> bytes:
        return _written(self._events.opening())

    def pieces(self, pieces: list[ChatDelta]) -> bytes:
        return b"".join([_written(self._events.delta(piece)) for piece in pieces])

    def ending(self, reply: ChatReply) -> bytes:
        return _written(self._events.ending(reply))

    def failure(self, refusal: Refused) -> bytes:
        return _written(self._events.failure(openai_error(about_the_model(refusal)).error.model_dump()))


def _written(events: Iterable[ResponseEvent]) -> bytes:
    """Each event with the fields that its type has, and those whole."""
    return b"".join(
        f"event: {event.type}\ndata: {event.model_dump_json(include=event.model_fields_set)}\n\n".encode()
        for event in events
    )
