"""What runs of workflows tell: every change of their state once and in order, and progress in between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.service import Service
from contracts.base import RefusalCode, Refused
from contracts.run_events import RUN_TOLD, WATCH_RUN, ExecutionProgress, RunMessage
from contracts.workflow_runs import (
    APPROVE_PAYLOAD,
    CANCEL_WORKFLOW_RUN,
    DELETE_WORKFLOW_RUN,
    GET_WORKFLOW_RUN,
    REJECT_PAYLOAD,
    AnswerApproval,
    GetWorkflowRun,
    RejectPayload,
)
from contracts.workflows import PayloadSnapshot
from orchestrator.deps import Deps
from orchestrator.domain.workflows.messages import LONGEST_TOLD
from orchestrator.engine.progress import Answering
from orchestrator.settings import Settings

from .answering import Router
from .conftest import eventually
from .doomed import doomed_orchestrator
from .workflow_runs import ended, refusal, responses, start, workflow

Replica = Callable[[], AbstractAsyncContextManager[Service]]

ANSWERED = PayloadSnapshot(
    payload_id=7,
    version=1,
    name="a",
    step="a",
    needs=[],
    blocks=[],
    llm_port=5001,
    model_format="raw",
    temperature=0,
    response_length=20,
)
_LAST = {"workflow_completed", "workflow_failed"}


async def told(caller: Bus, run_id: int) -> list[RunMessage]:
    """What the run has told, to its last message."""

    async def look() -> list[RunMessage] | None:
        events = caller.replay(RUN_TOLD, key=str(run_id))
        found = [message async for event in events for message in event.body.messages]
        return found if found and found[-1].type in _LAST else None

    return await eventually(look)


def changes(messages: list[RunMessage]) -> list[str]:
    return [message.type for message in messages if not isinstance(message, ExecutionProgress)]


@pytest.mark.usefixtures("service")
async def test_a_run_tells_what_its_responses_are_in_document_c_s_form(caller: Bus, router: Router) -> None:
    made = await workflow(
        caller,
        {"name": "first", "says": "1"},
        {"name": "second", "says": "{first}", "model_format": "mistral"},
    )
    run_id = await start(caller, made)
    messages = await told(caller, run_id)
    assert changes(messages) == ["payload_completed", "payload_completed", "workflow_completed"]
    first, second = await responses(caller, run_id)
    one, two = (number for number, message in enumerate(messages) if message.type == "payload_completed")
    progress = messages[one - 1].model_dump()["data"]
    assert progress == {
        "runId": run_id,
        "payloadId": first.payload_id,
        "payloadName": "first",
        "status": "running",
        "progress": 100,
        "metadata": {"tokens_per_second": 20},
    }
    for message, response in zip((messages[one], messages[two]), (first, second), strict=True):
        data = message.model_dump(mode="json", exclude_defaults=True)["data"]
        assert data == {
            "runId": run_id,
            "payloadId": response.payload_id,
            "payloadName": response.payload_name,
            "content": response.content,
            "metadata": response.metadata.model_dump(mode="json", exclude_defaults=True),
        }
    assert messages[-1].model_dump()["data"] == {"runId": run_id, "status": "completed"}


@pytest.mark.usefixtures("service")
async def test_a_run_that_does_not_complete_says_why_last(caller: Bus, router: Router) -> None:
    asked = asyncio.Event()

    async def refuse_or_hang(content: str) -> str:
        if content == "refuse":
            raise Refused(RefusalCode.INVALID, "Not like this")
        asked.set()
        await asyncio.Event().wait()
        return ""

    router.answer = refuse_or_hang
    failing = await start(caller, await workflow(caller, {"name": "a", "says": "refuse"}))
    hanging = await workflow(caller, {"name": "a", "says": "hang"})
    cancelled, deleted = await start(caller, hanging), await start(caller, hanging)
    await asyncio.wait_for(asked.wait(), 10)
    await caller.ask(CANCEL_WORKFLOW_RUN, GetWorkflowRun(run_id=cancelled))
    await caller.ask(DELETE_WORKFLOW_RUN, GetWorkflowRun(run_id=deleted))
    for run_id, error in (
        (failing, "a: Not like this"),
        (cancelled, "The run was cancelled"),
        (deleted, "The run was deleted"),
    ):
        messages = await told(caller, run_id)
        assert changes(messages) == ["workflow_failed"]
        assert messages[-1].model_dump()["data"] == {"runId": run_id, "error": error}


@pytest.mark.usefixtures("service")
async def test_of_a_list_each_item_is_told_and_how_many_have_ended(caller: Bus, router: Router) -> None:
    async def refuse_b(content: str) -> str:
        if content == "b":
            raise Refused(RefusalCode.INVALID, "Not like this")
        return content

    router.answer = refuse_b
    each = {"name": "each", "says": "{item}", "for_each": "x", "items_at_once": 1}
    run_id = await start(caller, await workflow(caller, each), x=["a", "b"])
    messages = await told(caller, run_id)
    progress = [message.data.progress for message in messages if isinstance(message, ExecutionProgress)]
    assert progress == [50, 100]
    assert changes(messages) == ["item_completed", "item_failed", "workflow_failed"]
    completed, failed = (message.model_dump()["data"] for message in messages if message.type.startswith("item_"))
    assert (completed["item"], completed["items"], completed["content"], completed["payloadName"]) == (
        0,
        2,
        "a",
        "each",
    )
    assert (failed["item"], failed["error"], failed["payloadId"]) == (1, "Not like this", completed["payloadId"])


@pytest.mark.usefixtures("service")
async def test_who_must_approve_is_told_when_it_is_asked_for_and_what_was_decided(caller: Bus, router: Router) -> None:
    made = await workflow(
        caller, {"name": "a", "says": "1", "approval": True}, {"name": "b", "says": "2", "approval": True}
    )
    run_id = await start(caller, made)

    async def waits_for(name: str) -> bool:
        run = await caller.ask(GET_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))
        return run.metadata.awaiting_approval == [name]

    await eventually(lambda: waits_for("a"))
    await caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=run_id))
    await eventually(lambda: waits_for("b"))
    await caller.ask(REJECT_PAYLOAD, RejectPayload(run_id=run_id, reason="Too early"))
    messages = await told(caller, run_id)
    assert changes(messages) == [
        "approval_requested",
        "approval_decided",
        "payload_completed",
        "approval_requested",
        "approval_decided",
        "workflow_failed",
    ]
    first, decided, second, rejected = (m.model_dump()["data"] for m in messages if m.type.startswith("approval_"))
    assert (first["payloadName"], second["payloadName"]) == ("a", "b")
    assert decided == {**first, "decision": "approved", "reason": ""}
    assert rejected == {**second, "decision": "rejected", "reason": "Too early"}


@pytest.mark.usefixtures("service")
async def test_of_a_response_that_is_too_long_the_beginning_is_told(caller: Bus, router: Router) -> None:
    async def much(_: str) -> str:
        return "é" * (LONGEST_TOLD + 1)

    router.answer = much
    run_id = await start(caller, await workflow(caller, {"name": "a", "says": "1"}))
    completed = (await told(caller, run_id))[-2].model_dump()["data"]
    assert (len(completed["content"]), completed["metadata"]["truncated"]) == (LONGEST_TOLD, True)
    (whole,) = await responses(caller, run_id)
    assert len(whole.content) == LONGEST_TOLD + 1


async def test_with_several_replicas_each_run_still_tells_in_order(
    caller: Bus, router: Router, replica: Replica
) -> None:
    async with replica(), replica(), replica():
        made = await workflow(caller, *({"name": str(n), "says": str(n)} for n in range(4)))
        run_ids = [await start(caller, made) for _ in range(40)]
        for run_id in run_ids:
            messages = await told(caller, run_id)
            assert changes(messages) == ["payload_completed"] * 4 + ["workflow_completed"]
            names = [message.data.payloadName for message in messages if message.type == "payload_completed"]
            assert names == ["0", "1", "2", "3"]


async def test_a_killed_orchestrator_makes_no_run_tell_anything_twice(
    settings: Settings, caller: Bus, router: Router, replica: Replica
) -> None:
    working, dead = asyncio.Event(), asyncio.Event()

    async def hang_at_first(content: str) -> str:
        if content == "2" and not dead.is_set():
            working.set()
            await asyncio.Event().wait()
        return content

    router.answer = hang_at_first
    async with replica():
        made = await workflow(caller, {"name": "a", "says": "1"}, {"name": "b", "says": "2"})
    async with doomed_orchestrator(settings):
        run_id = await eventually(lambda: started(caller, made), within=20)
        await asyncio.wait_for(working.wait(), 20)
    dead.set()
    async with replica():
        assert (await ended(caller, run_id)).status == "completed"
        messages = await told(caller, run_id)
    assert changes(messages) == ["payload_completed", "payload_completed", "workflow_completed"]


async def started(caller: Bus, workflow_id: int) -> int | None:
    try:
        return await start(caller, workflow_id)
    except Refused:
        return None


@pytest.fixture
async def run_of_ada(caller: Bus, router: Router, service: Service) -> AsyncIterator[int]:
    with calling(Call(principal=Principal(id="ada", name="Ada", role="member"))):
        yield await start(caller, await workflow(caller, {"name": "a", "says": "1"}))


async def test_only_whoever_started_a_run_and_admins_may_watch_it(caller: Bus, run_of_ada: int) -> None:
    watching = GetWorkflowRun(run_id=run_of_ada)
    await ended(caller, run_of_ada)
    for name, role in (("ada", "member"), ("root", "admin")):
        with calling(Call(principal=Principal(id=name, name=name, role=role))):
            watched = await caller.ask(WATCH_RUN, watching)
        assert watched.status == "completed"
        assert watched.seconds_since_end is not None
    with calling(Call(principal=Principal(id="bob", name="Bob", role="member"))):
        assert await refusal(caller.ask(WATCH_RUN, watching)) is RefusalCode.NOT_FOUND


async def test_while_a_payload_is_answered_it_is_told_how_far_it_is(caller: Bus, deps: Deps) -> None:
    end = await caller.end_of(RUN_TOLD)
    number = 2**40 + end
    with Answering(deps, owner="ada", run_id=number, payload=ANSWERED) as answering:
        assert await deps.relay.relay_once() == 0, "all that came before is told"
        async with aclosing(caller.follow(RUN_TOLD, key=str(number), after=end)) as events:
            waiting = await asyncio.wait_for(anext(events), 10)
            for _ in range(5):
                answering.heard()
            going_on = await asyncio.wait_for(anext(events), 10)
    assert going_on.body.owner == "ada"
    before, after = (event.body.messages[0].model_dump()["data"] for event in (waiting, going_on))
    assert (before["progress"], before["metadata"]) == (0, {"tokens_per_second": 0})
    assert after.pop("metadata")["tokens_per_second"] > 0
    assert after == {"runId": number, "payloadId": 7, "payloadName": "a", "status": "running", "progress": 25}
