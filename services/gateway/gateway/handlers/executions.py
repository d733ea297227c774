"""Executions for those who wait for them: whatever dies meanwhile, an execution is done once and its end is told."""

import asyncio
import time
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from aiohttp import web

from common.bus import Bus
from common.context import calling, current
from contracts.base import FinalT, Message, RefusalCode, Refused, Stream
from gateway.deps import Deps
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.routes.table import Route

_RECOVERY_SECONDS = 60.0
"""How long an execution whose process died is asked for again: its lease ends well before."""
_PAUSE = 0.5


async def execute(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """When the client goes away the execution goes on, and is kept."""
    assert route.stream is not None  # noqa: S101 - the table leads others elsewhere
    asked = await read_request(request, route)
    call = current()
    with calling(call._replace(idempotency_key=call.idempotency_key or uuid4().hex)):
        return respond(route, await _end_of(deps.bus, route.stream, asked))


async def _end_of(bus: Bus, stream: Stream[Any, Any, FinalT], asked: Message) -> FinalT:
    """The final message. Where whoever executes dies, another is asked under the same key, which tells how it ended."""
    entered, lost_since = False, None
    while True:
        try:
            async with aclosing(bus.stream(stream, asked)) as items:
                async for item in items:
                    if isinstance(item, stream.final):
                        return item
                    entered, lost_since = True, None
        except Refused as refusal:
            lost_since = lost_since or time.monotonic()
            if not entered or _is_an_end(refusal) or time.monotonic() - lost_since > _RECOVERY_SECONDS:
                raise
        await asyncio.sleep(_PAUSE)


def _is_an_end(refusal: Refused) -> bool:
    """Whether it is the execution that failed, and not the way to whoever executes it."""
    return refusal.code is not RefusalCode.UNAVAILABLE or "entry" in refusal.metadata
