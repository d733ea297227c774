"""One trace of a chat completion spans gateway, bus, router and engine."""

import asyncio
import secrets
import time

import pytest

from tests.e2e.caller import Caller
from tests.e2e.receiver import Receiver, Span

pytestmark = pytest.mark.e2e


async def spans_of(receiver: Receiver, trace_id: str, services: set[str]) -> list[Span]:
    deadline = time.monotonic() + 20
    while True:
        spans = receiver.trace(trace_id)
        if services <= {span.service for span in spans} or time.monotonic() > deadline:
            return spans
        await asyncio.sleep(0.2)


async def test_a_completion_is_one_trace(caller: Caller, receiver: Receiver) -> None:
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    status, _ = await caller.call(
        "POST",
        "/v1/chat/completions",
        json={"model": "simulated-small", "messages": [{"role": "user", "content": "Hello"}]},
        headers={"traceparent": f"00-{trace_id}-{parent_id}-01"},
    )
    assert status == 200
    spans = await spans_of(receiver, trace_id, {"gateway", "llm_router"})
    assert {"gateway", "llm_router"} <= {span.service for span in spans}
    names = {(span.service, span.name) for span in spans}
    assert ("gateway", "ask router.v1.chat.complete") in names
    assert ("llm_router", "router.v1.chat.complete") in names
    assert ("llm_router", "chat simulated-small") in names
    known = {span.span_id for span in spans} | {parent_id}
    assert all(span.parent_id in known for span in spans)
