"""Runs of workflows steered by people: paused, cancelled, approved."""

import asyncio

import pytest

from common.bus import Bus
from contracts.base import RefusalCode
from contracts.workflow_runs import (
    APPROVE_PAYLOAD,
    CANCEL_WORKFLOW_RUN,
    PAUSE_WORKFLOW_RUN,
    REJECT_PAYLOAD,
    RESUME_WORKFLOW_RUN,
    AnswerApproval,
    GetWorkflowRun,
    RejectPayload,
)

from .answering import Router
from .conftest import eventually
from .workflow_runs import ended, get, refusal, start, workflow

pytestmark = pytest.mark.usefixtures("service")


async def test_a_paused_run_asks_nothing_until_it_is_resumed(caller: Bus, router: Router) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def first_waits(content: str) -> str:
        asked.set()
        await gate.wait()
        return content

    router.answer = first_waits
    run_id = await start(caller, await workflow(caller, {"name": "a", "says": "1"}, {"name": "b", "says": "2"}))
    await asyncio.wait_for(asked.wait(), 10)
    assert (await caller.ask(PAUSE_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))).status == "paused"
    gate.set()

    async def first_done() -> bool:
        return (await get(caller, run_id)).metadata.completed_payloads == 1

    await eventually(first_done)
    assert ((await get(caller, run_id)).status, router.contents) == ("paused", ["1"])
    assert (await caller.ask(RESUME_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))).status == "running"
    assert (await ended(caller, run_id)).status == "completed"


async def test_cancelling_stops_the_engine_and_the_run_never_completes(caller: Bus, router: Router) -> None:
    asked = asyncio.Event()

    async def for_ever(_: str) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    router.answer = for_ever
    run_id = await start(caller, await workflow(caller, {"name": "a", "says": "1"}))
    await asyncio.wait_for(asked.wait(), 10)
    for _ in range(2):
        assert (await caller.ask(CANCEL_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))).status == "cancelled"

    async def stopped() -> bool:
        return router.stopped == 1

    await eventually(stopped)
    assert await refusal(caller.ask(PAUSE_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))) is RefusalCode.CONFLICT


async def test_a_payload_that_needs_approval_waits_for_a_person(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "1"}, {"name": "b", "says": "2", "approval": True})

    async def waits(run_id: int) -> bool:
        return (await get(caller, run_id)).metadata.awaiting_approval == ["b"]

    first, second = await start(caller, made), await start(caller, made)
    for run_id in (first, second):
        await eventually(lambda run_id=run_id: waits(run_id))
    await caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=first))
    assert (await ended(caller, first)).status == "completed"
    rejected = await caller.ask(REJECT_PAYLOAD, RejectPayload(run_id=second, payload="b", reason="Too early"))
    assert (rejected.status, rejected.error) == ("failed", "b: Rejected: Too early")
    assert await refusal(caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=first))) is RefusalCode.CONFLICT


async def test_nobody_is_asked_about_a_payload_that_is_skipped_and_approval_may_come_before(
    caller: Bus, router: Router
) -> None:
    condition = {"payload": "judge", "operator": "equals", "value": "<no>"}
    made = await workflow(
        caller,
        {"name": "judge", "says": "yes"},
        {"name": "never", "says": "2", "depends_on": ["judge"], "condition": condition, "approval": True},
        {"name": "after", "says": "3", "depends_on": ["never"], "approval": True},
        {"name": "list", "says": "{item}", "depends_on": ["judge"], "for_each": "x", "approval": True},
    )
    run_id = await start(caller, made, x=["4", "5"])

    async def asks() -> bool:
        return (await get(caller, run_id)).metadata.awaiting_approval == ["list"]

    await eventually(asks)
    assert router.contents == ["yes"]
    await caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=run_id, payload="list"))
    assert (await ended(caller, run_id)).status == "completed"
    assert sorted(router.contents) == ["4", "5", "yes"]

    gate = asyncio.Event()

    async def after_the_gate(content: str) -> str:
        await gate.wait()
        return content

    router.answer = after_the_gate
    early = await start(
        caller, await workflow(caller, {"name": "a", "says": "1"}, {"name": "b", "says": "2", "approval": True})
    )
    await caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=early, payload="b"))
    gate.set()
    assert (await ended(caller, early)).status == "completed"
