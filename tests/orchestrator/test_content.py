"""Content that a model writes: always the documented form, or a clear failure."""

import json
from typing import Any

import pytest

from common.bus import Bus
from contracts.actions import LIST_ACTION_RUNS, UPDATE_ACTION, ListActionRuns, UpdateAction
from contracts.base import RefusalCode
from contracts.content import (
    CREATE_POST,
    CREATE_SECTION,
    EXPAND_SECTION,
    GENERATE_IDEA,
    GENERATE_SOCIAL,
    OPTIMIZE_SEO,
    CreatePost,
    CreateSection,
    ExpandSection,
    GenerateIdea,
    GenerateSocial,
    OptimizeSeo,
    Section,
)
from contracts.prompts import GET_PROMPT, UPDATE_PROMPT, GetPrompt, UpdatePrompt

from .answering import Router
from .asking import execute, final, new_prompt, refused

pytestmark = pytest.mark.usefixtures("service")

IDEA = {"title": "Castles", "outline": ["One", "Two"], "keywords": ["stone"]}
IDEA_ACTION = 2


def answers(router: Router, *texts: Any) -> None:
    """The router answers these, one after another."""
    left = [text if isinstance(text, str) else json.dumps(text) for text in texts]

    async def answer(_: str) -> str:
        return left.pop(0)

    router.answer = answer


async def idea(bus: Bus, **fields: str) -> dict[str, Any]:
    asked = GenerateIdea(**({"topic": "castles"} | fields))
    return (await final(bus, GENERATE_IDEA, asked)).model_dump()


async def new_section(bus: Bus, title: str = "Towers", content: str = "They are high.") -> Section:
    post = await bus.ask(CREATE_POST, CreatePost(title="Castles", summary="On castles"))
    return await bus.ask(CREATE_SECTION, CreateSection(post_id=post.id, title=title, content=content))


async def test_an_idea_has_the_documented_defaults_and_form(caller: Bus, router: Router) -> None:
    answers(router, IDEA)
    assert await idea(caller) == IDEA
    ((chat, _),) = router.asked
    text = str(chat.messages[0].content)
    assert all(word in text for word in ("castles", "informative", "Scottish heritage enthusiasts"))
    assert chat.response_format is not None
    schema = chat.response_format["json_schema"]["schema"]
    assert schema["required"] == ["title", "outline", "keywords"]
    assert chat.model == "default"
    run = (await caller.ask(LIST_ACTION_RUNS, ListActionRuns(action_id=IDEA_ACTION))).items[0]
    assert (run.status, run.output_data) == ("completed", IDEA)


async def test_a_section_is_expanded_for_its_platforms(caller: Bus, router: Router) -> None:
    section = await new_section(caller)
    written = {"content": "Long", "keywords": ["a"], "social_media_snippets": {"blog": "Read on"}}
    answers(router, written)
    got = await final(caller, EXPAND_SECTION, ExpandSection(section_id=section.id))
    assert got.model_dump() == written
    (text,) = router.contents
    assert all(word in text for word in ('"Castles"', '"Towers"', "They are high.", "professional", "blog"))
    answers(router, written | {"social_media_snippets": {"X": "x!", "Mastodon": "m!"}})
    asked = ExpandSection(section_id=section.id, tone="wry", platforms=["mastodon", "x"])
    assert (await final(caller, EXPAND_SECTION, asked)).social_media_snippets == {"mastodon": "m!", "x": "x!"}


async def test_a_post_is_optimised_with_all_of_its_sections(caller: Bus, router: Router) -> None:
    section = await new_section(caller)
    written = {"title_suggestions": ["T"], "meta_description": "M", "keyword_suggestions": ["k"]}
    answers(router, written, written)
    got = await final(caller, OPTIMIZE_SEO, OptimizeSeo(post_id=section.post_id, keywords=["stone", "keep"]))
    assert got.model_dump() == written
    (text,) = router.contents
    assert all(word in text for word in ("stone, keep", "Title: Castles", "On castles", "## Towers", "They are high."))
    await final(caller, OPTIMIZE_SEO, OptimizeSeo(post_id=section.post_id, keywords=[]))


async def test_social_posts_are_by_platform(caller: Bus, router: Router) -> None:
    section = await new_section(caller)
    answers(router, {"tiktok": "t", "instagram": "i"})
    got = await final(caller, GENERATE_SOCIAL, GenerateSocial(section_id=section.id))
    assert got.posts == {"tiktok": "t", "instagram": "i"}


async def test_a_post_or_section_that_is_not_there_is_named(caller: Bus, router: Router) -> None:
    for stream, asked, noun in (
        (EXPAND_SECTION, ExpandSection(section_id=10**9), "Section"),
        (GENERATE_SOCIAL, GenerateSocial(section_id=10**9), "Section"),
        (OPTIMIZE_SEO, OptimizeSeo(post_id=10**9, keywords=["a"]), "Post"),
    ):
        async with refused(RefusalCode.NOT_FOUND) as refusal:
            await final(caller, stream, asked)  # type: ignore[arg-type]
        assert refusal.message == f"{noun} not found"
    assert router.asked == []


async def test_an_answer_of_the_wrong_form_is_sent_back_once(caller: Bus, router: Router) -> None:
    answers(router, "Here you are: castles!", f"```json\n{json.dumps(IDEA)}\n```")
    assert await idea(caller) == IDEA
    (_, (again, call)) = router.asked
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert "there is no JSON object in it" in str(again.messages[2].content)
    assert str(call.idempotency_key).endswith("/2")


async def test_an_answer_that_is_wrong_twice_is_an_execution_error(caller: Bus, router: Router) -> None:
    answers(router, "No.", {"title": "Castles", "keywords": ["a"]})
    async with refused(RefusalCode.ENGINE_FAILED) as refusal:
        await idea(caller)
    assert refusal.metadata["type"] == "invalid_answer"
    assert "it lacks outline" in refusal.metadata["entry"]["details"]
    assert refusal.metadata["troubleshooting"]
    run = (await caller.ask(LIST_ACTION_RUNS, ListActionRuns(action_id=IDEA_ACTION))).items[0]
    assert (run.status, run.diagnostics.tokens_used) == ("failed", 10), "what was used is told all the same"


async def test_content_prompts_and_actions_are_ordinary_ones(caller: Bus, router: Router) -> None:
    prompt = await new_prompt(caller, "Haiku on {topic}")
    before = await caller.ask(
        UPDATE_ACTION, UpdateAction(action_id=IDEA_ACTION, prompt_template_id=prompt.id, llm_model="small")
    )
    try:
        answers(router, IDEA, IDEA)
        assert await idea(caller) == IDEA
        assert router.contents[0].startswith("Haiku on castles\n\nAnswer with one JSON object")
        run = await execute(caller, IDEA_ACTION, topic="castles")
        assert run.output_data == IDEA, "executed as an action it has the same form"
        changed = UpdatePrompt(prompt_id=prompt.id, content="Ode to {topic} in a {style} style")
        await caller.ask(UPDATE_PROMPT, changed)
        async with refused(RefusalCode.INVALID):
            await caller.ask(UPDATE_PROMPT, UpdatePrompt(prompt_id=prompt.id, content="{nobody_knows}"))
        unknown = await new_prompt(caller, "{nobody_knows}")
        async with refused(RefusalCode.INVALID):
            await caller.ask(UPDATE_ACTION, UpdateAction(action_id=IDEA_ACTION, prompt_template_id=unknown.id))
    finally:
        back = UpdateAction(action_id=IDEA_ACTION, prompt_template_id=2, llm_model="default")
        await caller.ask(UPDATE_ACTION, back)
    assert before.id == IDEA_ACTION
    assert (await caller.ask(GET_PROMPT, GetPrompt(prompt_id=2))).version == 1
