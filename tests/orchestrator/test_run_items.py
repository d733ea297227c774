"""Payloads that are done for each item of a list: side by side, tried again and failing alone."""

import asyncio

import pytest

from common.bus import Bus
from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import (
    RERUN_WORKFLOW,
    RerunWorkflow,
)
from orchestrator.domain.workflows import responses as domain_responses
from orchestrator.engine import payload_steps

from .answering import Router
from .workflow_runs import contents, ended, get, items_of, responses, start, workflow

pytestmark = pytest.mark.usefixtures("service")


async def test_a_payload_is_done_for_each_item_of_a_list(caller: Bus, router: Router) -> None:
    made = await workflow(
        caller,
        {"name": "unnamed", "says": "Not asked for later"},
        {"name": "tone", "says": "kindly"},
        {"name": "each", "says": "{tone} about {item}", "for_each": "topics"},
        {"name": "all", "says": "{each}", "model_format": "raw"},
    )
    run_id = await start(caller, made, topics=["a", "b", "c"])
    await ended(caller, run_id)
    *_, each, whole = await responses(caller, run_id)
    texts = [f"<<kindly> about {item}>" for item in "abc"]
    assert each.content == whole.prompt == "\n\n".join(texts)
    assert (each.metadata.items, each.metadata.tokens) == (3, 15)
    keys = sorted(str(call.idempotency_key).partition("/")[2] for _, call in router.asked)
    assert keys == ["0", "1", "2/0", "2/1", "2/2"]


async def test_responses_to_long_lists_are_shown_as_far_as_there_is_room(
    caller: Bus, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload_steps, "LONGEST", 25)
    monkeypatch.setattr(domain_responses, "LONGEST", 25)
    made = await workflow(
        caller,
        {"name": "each", "says": "All about {item}", "for_each": "topics"},
        {"name": "next", "says": "{each}", "model_format": "raw"},
    )
    run_id = await start(caller, made, topics=list("abcd"))
    await ended(caller, run_id)
    each, following = await responses(caller, run_id)
    assert each.prompt == "All about a\n\nAll about b"
    assert each.content == "<All about a>\n\n<All abou…"
    assert following.prompt == "\n\n".join(f"<All about {item}>" for item in "abcd"), "what follows has all of it"
    assert [item.prompt for item in await items_of(caller, run_id)] == [f"All about {item}" for item in "abcd"]


async def test_so_many_items_are_asked_about_at_once(caller: Bus, router: Router) -> None:
    asked, gate = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def after_the_gate(content: str) -> str:
        asked.release()
        await gate.acquire()
        return content

    router.answer = after_the_gate
    each = {"name": "each", "says": "{item}", "for_each": "topics", "items_at_once": 2, "llm_port": 5001}
    run_id = await start(caller, await workflow(caller, each), topics=list("abcde"))
    for number in range(5):
        async with asyncio.timeout(10):
            await asked.acquire()
        if number == 1:
            (counts,) = (await get(caller, run_id)).items
            assert (counts.payload_name, counts.total, counts.running, counts.completed) == ("each", 5, 2, 0)
            assert [item.status for item in await items_of(caller, run_id)] == ["running"] * 2 + ["pending"] * 3
        if number > 0:
            assert len(router.asked) == number + 1
            gate.release()
    gate.release()
    run = await ended(caller, run_id)
    assert (run.status, run.metadata.completed_payloads) == ("completed", 1)
    assert [(item.item, item.text, item.content) for item in await items_of(caller, run_id, payload="each")] == [
        (number, text, text) for number, text in enumerate("abcde")
    ]


async def test_an_item_fails_alone_and_a_rerun_keeps_the_others(caller: Bus, router: Router) -> None:
    async def fail_at_b(content: str) -> str:
        if content == "b" and router.contents.count("b") < 2:
            raise Refused(RefusalCode.INVALID, "Not like this")
        return f"<{content}>"

    router.answer = fail_at_b
    each = {"name": "each", "says": "{item}", "for_each": "topics", "items_at_once": 1}
    made = await workflow(caller, each, {"name": "again", "says": "{item}", "for_each": "each", "model_format": "raw"})
    failed = await ended(caller, await start(caller, made, topics="a\nb\nc"))
    assert (failed.status, failed.error) == ("failed", "each: 1 of 3 items failed; item 1: Not like this")
    assert [(item.status, item.content) for item in await items_of(caller, failed.id)] == [
        ("completed", "<a>"),
        ("failed", None),
        ("completed", "<c>"),
    ]
    assert [item.error for item in await items_of(caller, failed.id, status="failed")] == ["Not like this"]

    again = await caller.ask(RERUN_WORKFLOW, RerunWorkflow(run_id=failed.id))
    run = await ended(caller, again.runId)
    assert (run.status, router.contents) == ("completed", ["a", "b", "c", "b"])
    assert (await contents(caller, run.id))["again"] == "<<a>>\n\n<<b>>\n\n<<c>>"
    kept = [item.metadata.kept for item in await items_of(caller, run.id, payload="each") if item.metadata]
    assert kept == [True, False, True]


async def test_an_item_is_tried_again_by_itself(caller: Bus, router: Router) -> None:
    async def busy_at_first(content: str) -> str:
        if content == "b" and router.contents.count("b") < 2:
            raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "Busy")
        return content

    router.answer = busy_at_first
    run_id = await start(caller, await workflow(caller, {"name": "e", "says": "{item}", "for_each": "x"}), x=["a", "b"])
    assert (await ended(caller, run_id)).status == "completed"
    assert sorted(router.contents) == ["a", "b", "b"]
    assert [item.attempts for item in await items_of(caller, run_id)] == [1, 2]


async def test_to_wait_for_a_busy_engine_is_no_attempt(caller: Bus, router: Router) -> None:
    busy = {"type": "overloaded", "temporary": True}

    async def busy_for_long(content: str) -> str:
        if len(router.asked) <= 5:
            # As the router says it when no engine was free in time.
            raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "No engine was free", busy)
        if len(router.asked) == 6:
            raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "Full", {**busy, "engine": "e"})
        return content

    router.answer = busy_for_long
    made = await workflow(caller, {"name": "e", "says": "{item}", "for_each": "x", "retries": 1})
    run_id = await start(caller, made, x="a")
    assert (await ended(caller, run_id)).status == "completed"
    assert [item.attempts for item in await items_of(caller, run_id)] == [2]


async def test_no_items_are_no_question(caller: Bus, router: Router) -> None:
    run_id = await start(caller, await workflow(caller, {"name": "e", "says": "{item}", "for_each": "x"}), x=[])
    assert (await ended(caller, run_id)).status == "completed"
    (response,) = await responses(caller, run_id)
    assert (response.content, response.metadata.items, router.asked) == ("", 0, [])
