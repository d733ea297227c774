"""Document B's test of a prompt: the document's JSON, or server-sent events for those who accept them.

The page at `/llm/` asks here and not at `/v1/chat/completions`: the document says that its test interface does, tests
have a limit of their own, and errors come in the document's form, with their type and what to do about them.
"""

from typing import cast

from aiohttp import web
from pydantic import BaseModel

from contracts.base import Refused
from contracts.router import TEST_PROMPT, TEST_STREAM, ChatDelta, ChatReply, TestPrompt
from gateway.deps import Deps
from gateway.domain.trial import TrialDelta, trial_result
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.edge.streams import tell_answer
from gateway.errors import tell
from gateway.routes.table import Family, Route

_EVENTS = "text/event-stream"


async def test_prompt(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """When the client goes away this is cancelled, which stops the engine's generation."""
    asked = cast(TestPrompt, await read_request(request, route))
    if _EVENTS in request.headers.get("Accept", ""):
        batches = deps.bus.batches(TEST_STREAM, asked)
        return await tell_answer(request, batches, _Told(route.family), deps.settings.heartbeat_seconds)
    return respond(route, await deps.bus.ask(TEST_PROMPT, asked))


class _Told:
    """An answer in pieces, and its `result` at last."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def opening(self) -> bytes:
        return b""

    def pieces(self, pieces: list[ChatDelta]) -> bytes:
        return b"".join([_event("delta", TrialDelta(content=piece.get("content", ""))) for piece in pieces])

    def ending(self, reply: ChatReply) -> bytes:
        return _event("result", trial_result(reply))

    def failure(self, refusal: Refused) -> bytes:
        return _event("error", tell(refusal, self._family).body)


def _event(name: str, body: BaseModel) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), body.model_dump_json().encode())
