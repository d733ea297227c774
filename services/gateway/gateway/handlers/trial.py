"""Document B's test of a prompt: the document's JSON, or server-sent events for those who accept them.

The page at `/llm/` asks here and not at `/v1/chat/completions`: the document says that its test interface does, tests
have a limit of their own, and errors come in the document's form, with their type and what to do about them.
"""

from contextlib import aclosing
from typing import cast

from aiohttp import web
from pydantic import BaseModel

from contracts.base import Refused
from contracts.router import TEST_PROMPT, TEST_STREAM, ChatDelta, ChatReply, TestPrompt
from gateway.deps import Deps
from gateway.domain.trial import TrialDelta, trial_result
from gateway.edge.reading import read_request
from gateway.edge.responses import event_stream, respond
from gateway.errors import tell
from gateway.routes.table import Route

_EVENTS = "text/event-stream"


async def test_prompt(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """When the client goes away this is cancelled, which stops the engine's generation."""
    asked = cast(TestPrompt, await read_request(request, route))
    if _EVENTS in request.headers.get("Accept", ""):
        return await _stream(deps, asked, route, request)
    return respond(route, await deps.bus.ask(TEST_PROMPT, asked))


async def _stream(deps: Deps, asked: TestPrompt, route: Route, request: web.Request) -> web.StreamResponse:
    """Streams as pieces come; what is refused before the first is answered with its status."""
    stream = deps.bus.stream(TEST_STREAM, asked)
    async with aclosing(stream) as items:
        first = await anext(items)
        response = event_stream()
        await response.prepare(request)
        try:
            await response.write(_told(first))
            async for item in items:
                await response.write(_told(item))
        except Refused as refusal:
            # No `result`: an answer that broke off must not look finished.
            await response.write(_event("error", tell(refusal, route.family).body))
        await response.write_eof()
    return response


def _told(item: ChatDelta | ChatReply) -> bytes:
    if isinstance(item, ChatDelta):
        return _event("delta", TrialDelta(content=item.content))
    return _event("result", trial_result(item))


def _event(name: str, body: BaseModel) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), body.model_dump_json().encode())
