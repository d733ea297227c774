"""Prompts over the bus: versions that never change, variables by name, and refusals that say why."""

import asyncio

import pytest

from common.bus import Bus
from contracts.actions import GET_ACTION, LIST_ACTIONS, UPDATE_ACTION, GetAction, ListActions, UpdateAction
from contracts.base import RefusalCode
from contracts.prompts import (
    DELETE_PROMPT,
    GET_PROMPT,
    LIST_PROMPT_VERSIONS,
    LIST_PROMPTS,
    UPDATE_PROMPT,
    GetPrompt,
    ListPrompts,
    ListPromptVersions,
    Prompt,
    UpdatePrompt,
)

from .asking import new_action, new_prompt, refused

pytestmark = pytest.mark.usefixtures("service")


async def change(bus: Bus, prompt: Prompt, **fields: str) -> Prompt:
    return await bus.ask(UPDATE_PROMPT, UpdatePrompt(prompt_id=prompt.id, **fields))


async def test_a_new_platform_has_the_documents_prompt_and_those_of_its_content(caller: Bus) -> None:
    prompts = (await caller.ask(LIST_PROMPTS, ListPrompts())).prompts[:5]
    assert (prompts[0].id, prompts[0].name, prompts[0].variables) == (1, "Summary Generation", ["idea_seed"])
    assert prompts[0].content == "Generate a summary based on the following idea: {idea_seed}"
    assert [prompt.name for prompt in prompts[1:]] == [
        "Blog Post Idea",
        "Section Expansion",
        "SEO Optimization",
        "Social Media Content",
    ]
    actions = (await caller.ask(LIST_ACTIONS, ListActions())).actions[:5]
    assert (actions[0].id, actions[0].name, actions[0].input_field) == (1, "Generate Summary", "idea_seed")
    assert (actions[0].output_field, actions[0].description) == ("summary", "Generate a summary from idea seed")


async def test_another_content_is_another_version_and_the_old_one_stays(caller: Bus) -> None:
    prompt = await new_prompt(caller, "Tell me about {topic}, {topic}, for {audience}. {{literal}}")
    assert (prompt.version, prompt.variables) == (1, ["topic", "audience"])
    same = await change(caller, prompt, content=prompt.content)
    assert same.version == 1
    changed = await change(caller, prompt, content="Tell me about {subject}.", name=f"{prompt.name} renamed")
    assert (changed.version, changed.variables, changed.name) == (2, ["subject"], f"{prompt.name} renamed")
    assert await caller.ask(GET_PROMPT, GetPrompt(prompt_id=prompt.id)) == changed
    page = await caller.ask(LIST_PROMPT_VERSIONS, ListPromptVersions(prompt_id=prompt.id, limit=1))
    assert ([item.version for item in page.items], page.total, page.has_more) == ([2], 2, True)
    page = await caller.ask(LIST_PROMPT_VERSIONS, ListPromptVersions(prompt_id=prompt.id, limit=1, offset=1))
    assert (page.items[0].content, page.has_more) == (prompt.content, False)


async def test_an_action_follows_its_prompt_unless_it_names_a_version(caller: Bus) -> None:
    prompt = await new_prompt(caller, "one {a}")
    follower = await new_action(caller, prompt_template_id=prompt.id)
    pinned = await new_action(caller, prompt_template_id=prompt.id, prompt_version=1)
    await change(caller, prompt, content="two {a}")
    assert (await caller.ask(GET_ACTION, GetAction(action_id=follower.id))).prompt_template == "two {a}"
    assert (await caller.ask(GET_ACTION, GetAction(action_id=pinned.id))).prompt_template == "one {a}"
    unpinned = await caller.ask(UPDATE_ACTION, UpdateAction(action_id=pinned.id, prompt_version=0))
    assert (unpinned.prompt_version, unpinned.prompt_template) == (None, "two {a}")
    async with refused(RefusalCode.NOT_FOUND) as refusal:
        await new_action(caller, prompt_template_id=prompt.id, prompt_version=9)
    assert refusal.message.startswith("Version 9")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a {topic", "no partner"),
        ("a } b", "no partner"),
        ("{}", "not a variable"),
        ("{topic.__class__}", "not a variable"),
        ("{topic!r}", "not a variable"),
        ("{0}", "not a variable"),
        ("{a[0]}", "not a variable"),
        ("{ topic }", "not a variable"),
        ("line\n  {1+1}", "line 2, column 3"),
    ],
)
async def test_anything_but_a_name_in_braces_is_refused_with_its_place(caller: Bus, content: str, told: str) -> None:
    async with refused(RefusalCode.INVALID) as refusal:
        await new_prompt(caller, content)
    (error,) = refusal.metadata["errors"]
    assert error["field"] == "content"
    assert told in error["message"]


async def test_names_are_taken_once_and_free_again_after_deletion(caller: Bus) -> None:
    prompt, other = await new_prompt(caller, "x"), await new_prompt(caller, "y")
    async with refused(RefusalCode.CONFLICT) as refusal:
        await new_prompt(caller, "z", name=prompt.name)
    assert refusal.metadata["errors"][0]["field"] == "name"
    async with refused(RefusalCode.CONFLICT):
        await change(caller, other, name=prompt.name)
    await caller.ask(DELETE_PROMPT, GetPrompt(prompt_id=prompt.id))
    async with refused(RefusalCode.NOT_FOUND) as refusal:
        await caller.ask(GET_PROMPT, GetPrompt(prompt_id=prompt.id))
    assert refusal.message == "Prompt not found"
    assert (await new_prompt(caller, "z", name=prompt.name)).id != prompt.id


async def test_a_prompt_in_use_is_not_deleted(caller: Bus) -> None:
    action = await new_action(caller)
    async with refused(RefusalCode.CONFLICT) as refusal:
        await caller.ask(DELETE_PROMPT, GetPrompt(prompt_id=action.prompt_template_id))
    assert f"{action.name} ({action.id})" in refusal.message


async def test_a_content_prompt_takes_only_variables_that_will_be_known(caller: Bus) -> None:
    idea = (await caller.ask(LIST_PROMPTS, ListPrompts())).prompts[1]
    async with refused(RefusalCode.INVALID) as refusal:
        await change(caller, idea, content="About {topic} in {season}")
    assert "season" in refusal.metadata["errors"][0]["message"]


async def test_changes_at_once_all_happen_one_after_another(caller: Bus) -> None:
    prompt = await new_prompt(caller, "0")
    await asyncio.gather(*(change(caller, prompt, content=f"{number} {{a}}") for number in range(1, 9)))
    page = await caller.ask(LIST_PROMPT_VERSIONS, ListPromptVersions(prompt_id=prompt.id))
    assert [item.version for item in page.items] == list(range(9, 0, -1))
    assert {item.content for item in page.items} == {"0", *(f"{number} {{a}}" for number in range(1, 9))}


async def test_a_long_list_is_told_in_parts(caller: Bus) -> None:
    made = [(await new_prompt(caller, "x" * 150_000)).id for _ in range(15)]
    page = await caller.ask(LIST_PROMPTS, ListPrompts(after=made[0] - 1))
    seen = [prompt.id for prompt in page.prompts]
    assert page.more
    while page.more:
        page = await caller.ask(LIST_PROMPTS, ListPrompts(after=seen[-1]))
        seen += [prompt.id for prompt in page.prompts]
    assert seen == made
