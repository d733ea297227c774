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
    services = {"gateway", "llm_router", "simulated-small"}
    spans = await spans_of(receiver, trace_id, services)
    assert services == {span.service for span in spans}
    assert not any(span.has_failed for span in spans)
    names = {(span.service, span.name) for span in spans}
    assert ("gateway", "ask router.v1.chat.complete") in names
    assert ("llm_router", "router.v1.chat.complete") in names
    assert ("llm_router", "chat simulated-small") in names
    known = {span.span_id for span in spans} | {parent_id}
    assert all(span.parent_id in known for span in spans)


async def test_a_step_that_fails_is_marked_in_the_trace_of_who_asked_for_it(caller: Caller, receiver: Receiver) -> None:
    trace_id = secrets.token_hex(16)
    dataset = {"file_path": f"s3://datasets/{secrets.token_hex(8)}/missing.csv"}
    node = {"agent_name": "dataset", "agent_class": "DatasetAgent", "config": dataset}
    status, job = await caller.call(
        "POST",
        "/api/v1/jobs",
        json={"pipeline_config": {"nodes": [node], "edges": [], "global_config": {"max_retries": 0}}},
        headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"},
    )
    assert status == 201, job
    spans = await spans_of(receiver, trace_id, {"gateway", "orchestrator", "trainer"})
    assert {"gateway", "orchestrator", "trainer"} <= {span.service for span in spans}
    assert [span.name for span in spans if span.has_failed] == ["step DatasetAgent"]
