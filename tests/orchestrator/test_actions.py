"""Actions over the bus: kept, executed once, their runs and history; template settings."""

import asyncio
from typing import Any

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from contracts.actions import (
    DELETE_ACTION,
    EXECUTE_ACTION,
    GET_ACTION,
    GET_ACTION_RUN,
    GET_HISTORY,
    GET_TEMPLATES,
    LIST_ACTION_RUNS,
    SAVE_TEMPLATE,
    UPDATE_ACTION,
    ActionRun,
    ExecuteAction,
    GetAction,
    GetActionRun,
    GetHistory,
    GetTemplates,
    ListActionRuns,
    SaveTemplate,
    TemplateSettings,
    UpdateAction,
)
from contracts.base import RefusalCode, Refused
from contracts.content import CREATE_POST, CreatePost

from .answering import Router
from .asking import entered, execute, final, new_action, new_prompt, refused
from .conftest import eventually

pytestmark = pytest.mark.usefixtures("service")


async def update(bus: Bus, action_id: int, **fields: Any) -> Any:
    return await bus.ask(UPDATE_ACTION, UpdateAction(action_id=action_id, **fields))


async def run_of(bus: Bus, action_id: int, run_id: int) -> ActionRun:
    return await bus.ask(GET_ACTION_RUN, GetActionRun(action_id=action_id, run_id=run_id))


# The resource


async def test_an_action_speaks_the_words_of_both_documents(caller: Bus) -> None:
    prompt = await new_prompt(caller, "About {seed} in {tone}")
    action = await new_action(caller, prompt_template_id=prompt.id)
    assert (action.field_name, action.output_field, action.model, action.llm_model) == (
        "summary",
        "summary",
        "small",
        "small",
    )
    assert (action.name, action.input_field, action.status) == (prompt.name, "seed", "active")
    assert (action.temperature, action.max_tokens, action.prompt_template) == (0.7, 1000, prompt.content)
    changed = await update(caller, action.id, output_field="abstract", model="other", temperature=0, name="New")
    assert (changed.field_name, changed.llm_model, changed.temperature, changed.name) == ("abstract", "other", 0, "New")
    assert changed.updated_at > action.updated_at
    assert await caller.ask(GET_ACTION, GetAction(action_id=action.id)) == changed


async def test_what_an_action_lacks_or_contradicts_is_named(caller: Bus) -> None:
    prompt = await new_prompt(caller, "x")
    async with refused(RefusalCode.INVALID) as refusal:
        await new_action(caller, prompt_template_id=prompt.id, field_name=None, llm_model=None)
    assert {error["field"] for error in refusal.metadata["errors"]} == {"field_name", "llm_model"}
    async with refused(RefusalCode.INVALID) as refusal:
        await new_action(caller, prompt_template_id=prompt.id, model="another")
    assert refusal.metadata["errors"][0]["field"] == "model"
    async with refused(RefusalCode.NOT_FOUND) as refusal:
        await new_action(caller, prompt_template_id=10**9)
    assert (refusal.message, refusal.metadata["entry"]["message"]) == (
        "Prompt not found",
        "Prompt with id 1000000000 not found",
    )


async def test_a_deleted_action_is_gone_and_its_prompt_free(caller: Bus) -> None:
    action = await new_action(caller)
    assert await caller.ask(DELETE_ACTION, GetAction(action_id=action.id)) == action
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(GET_ACTION, GetAction(action_id=action.id))
    async with refused(RefusalCode.NOT_FOUND):
        await execute(caller, action.id, seed="x")


async def test_what_the_platform_itself_runs_is_not_deleted(caller: Bus) -> None:
    async with refused(RefusalCode.CONFLICT) as refusal:
        await caller.ask(DELETE_ACTION, GetAction(action_id=2))
    assert "generate-idea" in refusal.message


# Executions


async def test_an_execution_renders_asks_and_keeps_what_came(caller: Bus, router: Router) -> None:
    post = await caller.ask(CREATE_POST, CreatePost(title="A post"))
    action = await new_action(caller, "Sum up {seed} in {{{tone}}} for {readers}: {n}", temperature=0.2, max_tokens=50)
    values = {"seed": "{tone} {seed.__class__}", "tone": "jest", "readers": ["a", "b"], "n": 3}
    principal = Principal(id="key_1", name="test", role="member")
    asked = ExecuteAction(action_id=action.id, input_data=values, post_id=post.id)
    with calling(Call(principal=principal)):
        run = await final(caller, EXECUTE_ACTION, asked)
    text = "Sum up {tone} {seed.__class__} in {jest} for a, b: 3"
    assert router.contents == [text], "values are put in, and never looked into"
    ((chat, call),) = router.asked
    assert (chat.model, chat.temperature, chat.max_tokens, chat.route) == ("small", 0.2, 50, "action")
    assert chat.response_format is None
    assert call.principal == principal
    assert call.idempotency_key == f"action_run/{run.id}/1"
    assert (run.status, run.input_data, run.output_data) == ("completed", values, {"summary": f"<{text}>"})
    assert (run.diagnostics.tokens_used, run.diagnostics.model, run.diagnostics.prompt_version) == (5, "m", 1)
    assert run.diagnostics.execution_time >= 0
    assert await run_of(caller, action.id, run.id) == run
    history = await caller.ask(GET_HISTORY, GetHistory(action_id=action.id))
    assert (history.action, history.total, history.has_more) == (action, 1, False)
    (entry,) = history.history
    assert (entry.input_text, entry.output_text, entry.post_id) == (text, f"<{text}>", post.id)
    assert (entry.status, entry.error_message) == ("completed", None)


async def test_a_prompt_without_variables_is_followed_by_the_input(caller: Bus, router: Router) -> None:
    action = await new_action(caller, "Summarise this.", input_field="text")
    await execute(caller, action.id, text="Long ago")
    assert router.contents == ["Summarise this.\n\nLong ago"]
    async with refused(RefusalCode.INVALID) as refusal:
        await execute(caller, action.id, other="x")
    assert refusal.metadata["errors"][0]["field"] == "input_data.text"


async def test_missing_variables_are_named_and_nothing_is_kept(caller: Bus, router: Router) -> None:
    action = await new_action(caller, "{a} {b} {c}")
    async with refused(RefusalCode.INVALID) as refusal:
        await execute(caller, action.id, b="x", c=None)
    assert refusal.message == "Missing variables: a, c"
    assert [error["field"] for error in refusal.metadata["errors"]] == ["input_data.a", "input_data.c"]
    page = await caller.ask(LIST_ACTION_RUNS, ListActionRuns(action_id=action.id))
    assert (page.total, router.asked) == (0, [])


async def test_an_inactive_action_a_strange_post_and_unstorable_input_are_refused(caller: Bus) -> None:
    action = await new_action(caller)
    async with refused(RefusalCode.INVALID):
        await execute(caller, action.id, seed="a\0b")
    async with refused(RefusalCode.NOT_FOUND):
        asked = ExecuteAction(action_id=action.id, input_data={"seed": "x"}, post_id=10**9)
        await final(caller, EXECUTE_ACTION, asked)
    await update(caller, action.id, status="inactive")
    async with refused(RefusalCode.CONFLICT):
        await execute(caller, action.id, seed="x")


async def test_a_prompt_that_its_values_make_too_long_is_refused_before_it_is_made(caller: Bus, router: Router) -> None:
    action = await new_action(caller, "{a}" * 20_000)
    async with refused(RefusalCode.INVALID) as refusal:
        await execute(caller, action.id, a="x" * 1_900_000)
    assert "1000000 are allowed" in refusal.metadata["errors"][0]["message"]
    async with refused(RefusalCode.INVALID):
        await execute(caller, action.id, a="x", unused="y" * 2_000_000)
    assert router.asked == []


async def test_a_page_of_long_runs_tells_as_many_as_fit(caller: Bus, router: Router) -> None:
    action = await new_action(caller, "{a}")
    for _ in range(3):
        await execute(caller, action.id, a="x" * 900_000)
    page = await caller.ask(GET_HISTORY, GetHistory(action_id=action.id))
    assert (len(page.history), page.total, page.has_more) == (1, 3, True)
    page = await caller.ask(GET_HISTORY, GetHistory(action_id=action.id, offset=2))
    assert (len(page.history), page.has_more) == (1, False)


async def test_a_failed_execution_is_kept_with_its_error(caller: Bus, router: Router) -> None:
    async def refuse(_: str) -> str:
        metadata = {"type": "rate_limited", "temporary": True, "troubleshooting": ["Wait."], "retry_after": 7}
        raise Refused(RefusalCode.RATE_LIMITED, "Rate limit exceeded", metadata)

    router.answer = refuse
    action = await new_action(caller)
    async with refused(RefusalCode.RATE_LIMITED) as refusal:
        await execute(caller, action.id, seed="x")
    assert refusal.message == "Action execution failed"
    assert refusal.metadata["entry"] == {
        "code": "execution_error",
        "message": "Failed to generate summary",
        "details": "Model error: Rate limit exceeded",
    }
    assert (refusal.metadata["type"], refusal.metadata["temporary"]) == ("rate_limited", True)
    assert refusal.metadata["troubleshooting"] == ["Wait."]
    (run,) = (await caller.ask(LIST_ACTION_RUNS, ListActionRuns(action_id=action.id))).items
    assert (run.status, run.output_data, run.error and run.error.message) == ("failed", {}, "Rate limit exceeded")
    assert refusal.metadata["details"] == {"action_id": [str(action.id)], "run_id": [str(run.id)]}
    (entry,) = (await caller.ask(GET_HISTORY, GetHistory(action_id=action.id))).history
    assert (entry.status, entry.output_text, entry.error_message) == ("failed", "", "Rate limit exceeded")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (RefusalCode.NOT_FOUND, RefusalCode.ENGINE_FAILED),
        (RefusalCode.QUOTA_EXHAUSTED, RefusalCode.QUOTA_EXHAUSTED),
        (RefusalCode.FORBIDDEN, RefusalCode.FORBIDDEN),
        (RefusalCode.ENGINE_UNAVAILABLE, RefusalCode.ENGINE_UNAVAILABLE),
        (RefusalCode.INVALID, RefusalCode.INVALID),
    ],
)
async def test_what_the_router_refuses_is_an_execution_error(
    caller: Bus, router: Router, code: RefusalCode, told: RefusalCode
) -> None:
    async def refuse(_: str) -> str:
        raise Refused(code, "Not today")

    router.answer = refuse
    action = await new_action(caller)
    async with refused(told) as refusal:
        await execute(caller, action.id, seed="x")
    assert refusal.metadata["entry"]["code"] == "execution_error"
    assert refusal.metadata["entry"]["details"] == "Model error: Not today"


async def test_a_caller_that_goes_away_does_not_end_the_execution(caller: Bus, router: Router) -> None:
    go = asyncio.Event()

    async def wait(content: str) -> str:
        await go.wait()
        return content

    router.answer = wait
    action = await new_action(caller)
    async with entered(caller, action.id, seed="x") as (run_id, _):
        assert (await run_of(caller, action.id, run_id)).status == "running"
    go.set()

    async def completed() -> bool:
        return (await run_of(caller, action.id, run_id)).status == "completed"

    await eventually(completed)
    assert router.stopped == 0


async def test_an_idempotency_key_executes_once_and_tells_the_same_run(caller: Bus, router: Router) -> None:
    go = asyncio.Event()

    async def wait(content: str) -> str:
        await go.wait()
        return content

    router.answer = wait
    action = await new_action(caller)
    with calling(Call(principal=Principal(id="key_1", name="", role="member"), idempotency_key="once")):
        waiting = [asyncio.create_task(execute(caller, action.id, seed="x")) for _ in range(5)]
        await eventually(lambda: asyncio.sleep(0, router.asked))
        go.set()
        first, *others = await asyncio.gather(*waiting)
        assert all(other == first for other in [*others, await execute(caller, action.id, seed="x")])
        async with refused(RefusalCode.CONFLICT) as refusal:
            await execute(caller, action.id, seed="something else")
        assert refusal.metadata["run_id"] == first.id
    assert len(router.asked) == 1
    with calling(Call(principal=Principal(id="key_2", name="", role="member"), idempotency_key="once")):
        assert (await execute(caller, action.id, seed="y")).id != first.id, "keys are each caller's own"


async def test_a_run_belongs_to_its_action(caller: Bus, router: Router) -> None:
    action, other = await new_action(caller), await new_action(caller)
    runs = [await execute(caller, action.id, seed=str(number)) for number in range(3)]
    async with refused(RefusalCode.NOT_FOUND):
        await run_of(caller, other.id, runs[0].id)
    page = await caller.ask(LIST_ACTION_RUNS, ListActionRuns(action_id=action.id, limit=2))
    assert ([run.id for run in page.items], page.total, page.has_more) == ([runs[2].id, runs[1].id], 3, True)


async def test_a_run_keeps_the_prompt_that_it_ran_with(caller: Bus, router: Router, database: Database) -> None:
    action = await new_action(caller, "old {seed}")
    run = await execute(caller, action.id, seed="x")
    settings = SaveTemplate(
        source_field="seed",
        template="new {seed}",
        llm_model="m",
        temperature=0,
        max_tokens=9,
        template_name=action.name,
    )
    await caller.ask(SAVE_TEMPLATE, settings)
    (entry,) = (await caller.ask(GET_HISTORY, GetHistory(action_id=action.id))).history
    assert entry.input_text == "old x"
    assert (await run_of(caller, action.id, run.id)).diagnostics.prompt_version == 1
    assert (await execute(caller, action.id, seed="x")).diagnostics.prompt_version == 2
    with pytest.raises(Exception, match="it has ended"):
        async with database.connection() as connection:
            await connection.execute("UPDATE action_runs SET output_text = 'another' WHERE id = $1", run.id)


# Template settings


async def save(bus: Bus, field: str, template: str, name: str | None = None) -> TemplateSettings:
    return await bus.ask(
        SAVE_TEMPLATE,
        SaveTemplate(
            source_field=field, template=template, llm_model="small", temperature=0.5, max_tokens=7, template_name=name
        ),
    )


async def test_template_settings_are_made_changed_and_listed(caller: Bus, router: Router) -> None:
    first = await save(caller, "idea_text", "Improve: {idea_text}")
    assert (first.template_name, first.source_field, first.llm_model) == ("idea_text", "idea_text", "small")
    again = await save(caller, "idea_text", "Better: {idea_text}")
    assert (again.template_id, again.template) == (first.template_id, "Better: {idea_text}")
    second = await save(caller, "idea_text", "Shorten it.", "Shorter")
    assert second.template_id != first.template_id
    third = await save(caller, "idea_text", "Best: {idea_text}", "idea_text")
    assert third.template_id == first.template_id
    found = await caller.ask(GET_TEMPLATES, GetTemplates(source_field="idea_text"))
    assert found.templates == [third, second]
    assert found.models == ["small"]
    async with refused(RefusalCode.CONFLICT) as refusal:
        await save(caller, "another_field", "x", "Shorter")
    assert refusal.metadata["errors"][0]["field"] == "template_name"
    async with refused(RefusalCode.INVALID) as refusal:
        await save(caller, "idea_text", "{")
    assert refusal.metadata["errors"][0]["field"] == "template"


async def test_saving_for_a_field_leaves_what_the_platform_runs_on_it_alone(caller: Bus, router: Router) -> None:
    saved = await save(caller, "topic", "My own: {topic}")
    assert saved.template_name == "topic"
    named = {
        one.template_name for one in (await caller.ask(GET_TEMPLATES, GetTemplates(source_field="topic"))).templates
    }
    assert {"topic", "Blog Post Idea"} <= named
