"""Runs of workflows over the bus: payloads asked in order, skipped, repeated; runs listed and kept to their owners."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from common.bus import Bus
from common.context import calling
from common.database import Database
from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import (
    APPROVE_PAYLOAD,
    CANCEL_WORKFLOW_RUN,
    DELETE_WORKFLOW_RUN,
    FORK_WORKFLOW,
    GET_WORKFLOW_RUN,
    LIST_RUN_ITEMS,
    LIST_RUN_RESPONSES,
    LIST_WORKFLOW_RUNS,
    PAUSE_WORKFLOW_RUN,
    REJECT_PAYLOAD,
    RERUN_WORKFLOW,
    RESUME_WORKFLOW_RUN,
    AnswerApproval,
    ForkWorkflow,
    GetWorkflowRun,
    ListRunItems,
    ListRunResponses,
    ListWorkflowRuns,
    RejectPayload,
    RerunWorkflow,
    Trigger,
)
from contracts.workflows import (
    CREATE_BLOCK,
    CREATE_PAYLOAD,
    CREATE_WORKFLOW,
    UPDATE_BLOCK,
    CreateBlock,
    CreatePayload,
    CreateWorkflow,
    UpdateBlock,
)

from .answering import Router
from .conftest import eventually
from .workflow_runs import ADMIN, as_, contents, ended, get, refusal, responses, start, workflow

pytestmark = pytest.mark.usefixtures("service")


async def test_payloads_are_asked_in_order_with_earlier_responses_in_their_prompts(caller: Bus, router: Router) -> None:
    first = {"name": "first", "says": "Name a {thing}", "temperature": 0.5, "response_length": 7}
    second = {"name": "second", "says": "Repeat {first} {unknown}", "model_format": "mistral", "llm_port": 5002}
    run_id = await start(caller, await workflow(caller, first, second), thing="fruit")
    run = await ended(caller, run_id)
    assert (run.status, run.error, run.inputs, run.metadata.completed_payloads) == (
        "completed",
        None,
        {"thing": "fruit"},
        2,
    )
    one, two = await responses(caller, run_id)
    assert (one.payload_name, one.prompt, one.content) == ("first", "Name a fruit", "<Name a fruit>")
    assert (two.prompt, two.content) == (
        "Repeat <Name a fruit> {unknown}",
        "<[INST] Repeat <Name a fruit> {unknown} [/INST]>",
    )
    assert one.metadata.model_dump(exclude_defaults=True) == {
        "tokens": 5,
        "promptTokens": 3,
        "completionTokens": 2,
        "duration_ms": 100,
        "tokens_per_second": 50,
        "model": "m",
        "engine": "local",
        "port": 5001,
    }
    (asked, call), (text,) = router.asked[0], router.texts
    assert (asked.model, asked.temperature, asked.max_tokens, text.model) == ("port:5001", 0.5, 7, "port:5002")
    assert str(call.idempotency_key).endswith("/0")


async def test_a_run_pins_what_it_started_with(caller: Bus, router: Router) -> None:
    gate = asyncio.Event()

    async def after_the_gate(content: str) -> str:
        await gate.wait()
        return content

    router.answer = after_the_gate
    block = await caller.ask(CREATE_BLOCK, CreateBlock(title="t", content="before"))
    payloads = [
        (await caller.ask(CREATE_PAYLOAD, CreatePayload(name=name, llm_port=5001, blocks=[block.id]))).id
        for name in ("a", "b")
    ]
    made = await caller.ask(CREATE_WORKFLOW, CreateWorkflow(name="w", payloads=payloads))
    run_id = await start(caller, made.id)
    await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=block.id, content="after"))
    gate.set()
    await ended(caller, run_id)
    assert await contents(caller, run_id) == {"a": "before", "b": "before"}


async def test_branches_run_side_by_side_and_join(caller: Bus, router: Router) -> None:
    both = asyncio.Barrier(2)

    async def together(content: str) -> str:
        if content in ("left", "right"):
            await both.wait()
        return content.upper()

    router.answer = together
    made = await workflow(
        caller,
        {"name": "l", "says": "left"},
        {"name": "r", "says": "right", "depends_on": []},
        {"name": "join", "says": "{l} and {r}", "depends_on": ["l", "r"]},
    )
    run_id = await start(caller, made)
    assert (await ended(caller, run_id)).status == "completed"
    assert (await contents(caller, run_id))["join"] == "LEFT AND RIGHT"


async def test_a_payload_whose_condition_does_not_hold_is_skipped(caller: Bus, router: Router) -> None:
    condition = {"payload": "judge", "operator": "contains", "value": "yes"}
    made = await workflow(
        caller,
        {"name": "judge", "says": "no"},
        {"name": "only if", "says": "never asked", "condition": condition},
        {"name": "last", "says": "[{only if}]"},
    )
    run_id = await start(caller, made)
    assert (await ended(caller, run_id)).status == "completed"
    found = await responses(caller, run_id)
    assert [(one.content, one.metadata.skipped) for one in found] == [("<no>", False), ("", True), ("<[]>", False)]
    assert router.contents == ["no", "[]"]


async def test_what_depends_on_skipped_payloads_alone_is_skipped_unless_it_says_otherwise(
    caller: Bus, router: Router
) -> None:
    condition = {"payload": "judge", "operator": "equals", "value": "<yes>"}
    made = await workflow(
        caller,
        {"name": "judge", "says": "no"},
        {"name": "yes", "says": "yes", "depends_on": ["judge"], "condition": condition},
        {"name": "no", "says": "no way", "depends_on": ["judge"], "condition": condition | {"operator": "not_equals"}},
        {"name": "after yes", "says": "never asked", "depends_on": ["yes"]},
        {"name": "anyway", "says": "anyway", "depends_on": ["yes"], "when_skipped": "run"},
        {"name": "join", "says": "{after yes}{no}", "depends_on": ["after yes", "no"]},
    )
    run_id = await start(caller, made)
    assert (await ended(caller, run_id)).status == "completed"
    skipped = {one.payload_name: one.metadata.skipped for one in await responses(caller, run_id)}
    assert skipped == {"judge": False, "yes": True, "no": False, "after yes": True, "anyway": False, "join": False}
    assert sorted(router.contents) == ["<no way>", "anyway", "no", "no way"]


async def test_when_an_instance_cannot_answer_its_fallback_is_asked(caller: Bus, router: Router) -> None:
    async def only_the_second(content: str) -> str:
        if router.asked[-1][0].model == "port:5001":
            raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "Gone")
        return content

    router.answer = only_the_second
    run_id = await start(caller, await workflow(caller, {"name": "a", "says": "hello", "fallback_port": 5002}))
    await ended(caller, run_id)
    (response,) = await responses(caller, run_id)
    assert (response.content, response.metadata.port) == ("hello", 5002)


async def test_an_instance_that_fails_is_not_asked_for_ever_while_its_fallback_is_busy(
    caller: Bus, router: Router
) -> None:
    async def fail_or_be_busy(_: str) -> str:
        if router.asked[-1][0].model == "port:5001":
            raise Refused(RefusalCode.ENGINE_FAILED, "Broken")
        raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "Busy", {"type": "overloaded", "temporary": True})

    router.answer = fail_or_be_busy
    payload = {"name": "a", "says": "hello", "fallback_port": 5002, "retries": 1}
    run = await ended(caller, await start(caller, await workflow(caller, payload)))
    assert (run.status, run.error) == ("failed", "a: Broken")
    assert [chat.model for chat, _ in router.asked] == ["port:5001", "port:5002"] * 2


async def test_a_run_that_failed_is_repeated_from_where_it_failed(caller: Bus, router: Router) -> None:
    async def fail_at_the_second(content: str) -> str:
        if content == "two" and "two" not in router.contents[:-1]:
            raise Refused(RefusalCode.INVALID, "Not like this")
        return f"<{content}>"

    router.answer = fail_at_the_second
    made = await workflow(
        caller, {"name": "a", "says": "one"}, {"name": "b", "says": "two"}, {"name": "c", "says": "{a}{b}"}
    )
    failed = await ended(caller, await start(caller, made))
    assert (failed.status, failed.error) == ("failed", "b: Not like this")
    assert await contents(caller, failed.id) == {"a": "<one>"}

    again = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=failed.id))
    run = await ended(caller, again.runId)
    assert (run.status, run.parent_run_id) == ("completed", failed.id)
    assert await contents(caller, run.id) == {"a": "<one>", "b": "<two>", "c": "<<one><two>>"}
    assert router.contents == ["one", "two", "two", "<one><two>"]
    assert [one.metadata.kept for one in await responses(caller, run.id)] == [True, False, False]

    last = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=run.id, from_payload="c"))
    await ended(caller, last.runId)
    assert router.contents[4:] == ["<one><two>"]


async def test_a_fork_takes_other_inputs(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "{x} {y}"}, inputs={"x": None, "y": "b"})
    assert await refusal(start(caller, made)) is RefusalCode.INVALID
    first = await ended(caller, await start(caller, made, x="a"))
    forked = await caller.ask(FORK_WORKFLOW, ForkWorkflow(run_id=first.id, inputs={"y": "c"}))
    run = await ended(caller, forked.runId)
    assert (run.parent_run_id, run.inputs) == (first.id, {"x": "a", "y": "c"})
    assert await contents(caller, run.id) == {"a": "<a c>"}


async def test_runs_are_listed_newest_first_and_by_status(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "1"})
    run_ids = [(await ended(caller, await start(caller, made))).id for _ in range(3)]
    newest = (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(limit=2))).runs
    assert [run.id for run in newest] == run_ids[:0:-1]
    older = (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(before=run_ids[1]))).runs
    assert [run.id for run in older] == run_ids[:1]
    assert (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(status="failed"))).runs == []
    assert len((await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(status="completed"))).runs) == 3


async def test_a_run_is_its_owner_s_and_the_admins(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "1"})
    with calling(as_("ada")):
        run = await ended(caller, await start(caller, made))
    asked = GetWorkflowRun(run_id=run.id)
    questions: list[Callable[[], Any]] = [
        lambda: caller.ask(GET_WORKFLOW_RUN, asked),
        lambda: caller.ask(LIST_RUN_RESPONSES, ListRunResponses(run_id=run.id)),
        lambda: caller.ask(LIST_RUN_ITEMS, ListRunItems(run_id=run.id)),
        lambda: caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=run.id)),
        lambda: caller.ask(FORK_WORKFLOW, ForkWorkflow(run_id=run.id)),
        lambda: caller.ask(APPROVE_PAYLOAD, AnswerApproval(run_id=run.id)),
        lambda: caller.ask(REJECT_PAYLOAD, RejectPayload(run_id=run.id)),
        *(partial(caller.ask, rpc, asked) for rpc in (CANCEL_WORKFLOW_RUN, PAUSE_WORKFLOW_RUN, RESUME_WORKFLOW_RUN)),
        lambda: caller.ask(DELETE_WORKFLOW_RUN, asked),
    ]
    with calling(as_("bob")):
        for question in questions:
            assert await refusal(question()) is RefusalCode.NOT_FOUND
        assert (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns())).runs == []
    for who in (as_("ada"), ADMIN):
        with calling(who):
            assert (await caller.ask(GET_WORKFLOW_RUN, asked)).status == "completed"
            assert [one.id for one in (await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns())).runs] == [run.id]


async def test_a_run_says_what_started_it(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "1"})
    first = await ended(caller, await start(caller, made))
    again = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=first.id))
    forked = await caller.ask(FORK_WORKFLOW, ForkWorkflow(run_id=first.id))
    triggers: dict[int, Trigger] = {first.id: "api", again.runId: "rerun", forked.runId: "fork"}
    for number, trigger in triggers.items():
        assert (await ended(caller, number)).trigger == trigger
        found = await caller.ask(LIST_WORKFLOW_RUNS, ListWorkflowRuns(trigger=trigger))
        assert [(run.id, run.trigger_id) for run in found.runs] == [(number, None)]


async def test_a_deleted_run_is_gone_with_its_responses(caller: Bus, router: Router) -> None:
    run = await ended(caller, await start(caller, await workflow(caller, {"name": "a", "says": "1"})))
    await caller.ask(DELETE_WORKFLOW_RUN, GetWorkflowRun(run_id=run.id))
    for asking in (get(caller, run.id), responses(caller, run.id), start(caller, 10**9)):
        assert await refusal(asking) is RefusalCode.NOT_FOUND


async def test_a_fork_of_a_run_that_is_being_deleted_is_refused(
    caller: Bus, router: Router, database: Database
) -> None:
    run = await ended(caller, await start(caller, await workflow(caller, {"name": "a", "says": "1"})))
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM runs")
        forking = asyncio.create_task(refusal(caller.ask(FORK_WORKFLOW, ForkWorkflow(run_id=run.id))))
        await eventually(lambda: connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    assert await forking is RefusalCode.NOT_FOUND


async def test_under_the_same_key_a_workflow_is_executed_once(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "{x}"})
    with calling(as_("p")._replace(idempotency_key="k")):
        first, second = await start(caller, made, x="1"), await start(caller, made, x="1")
        assert first == second
        assert await refusal(start(caller, made, x="2")) is RefusalCode.CONFLICT
    await ended(caller, first)
    ((_, call),) = router.asked
    assert call.principal is not None
    assert call.principal.id == "p"


async def test_a_key_stands_for_one_way_of_repeating_a_run(caller: Bus, router: Router) -> None:
    made = await workflow(caller, {"name": "a", "says": "1"}, {"name": "b", "says": "2"})
    run = await ended(caller, await start(caller, made))
    with calling(as_("")._replace(idempotency_key="again")):
        first = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=run.id, from_payload="b"))
        again = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=run.id, from_payload="b"))
        assert again.runId == first.runId
        for other in ("a", None):
            asking = caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=run.id, from_payload=other))
            assert await refusal(asking) is RefusalCode.CONFLICT
        asked = ForkWorkflow(run_id=run.id, from_payload="b")
        assert await refusal(caller.ask(FORK_WORKFLOW, asked)) is RefusalCode.CONFLICT
    await ended(caller, first.runId)
