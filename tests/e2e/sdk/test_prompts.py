"""Prompts, actions, posts, content, configuration and engines by the SDK for Python."""

import uuid

import pytest

from llm_platform import (
    Client,
    InvalidRequest,
    NotFound,
)

pytestmark = pytest.mark.e2e


def test_prompts_and_actions_are_made_executed_and_remembered(sdk: Client) -> None:
    prompt = sdk.prompts.create(name=f"Headline {uuid.uuid4().hex[:6]}", content="Write a headline about {topic}.")
    assert prompt.variables == ["topic"]
    assert sdk.prompts.update(prompt.id, content="Write a short headline about {topic}.").version == 2
    assert [version.version for version in sdk.prompts.versions(prompt.id)] == [2, 1]
    action = sdk.actions.create(
        field_name="headline", prompt_template_id=prompt.id, llm_model="simulated-small", max_tokens=8
    )
    run = sdk.actions.execute(action.id, {"topic": "castles"})
    assert run.status == "completed"
    assert "simulated" in run.output_data["headline"]
    assert [each.id for each in sdk.actions.runs(action.id)] == [run.id]
    assert sdk.actions.run(action.id, run.id) == run
    assert [entry.status for entry in sdk.actions.history(action.id)] == ["completed"]
    with pytest.raises(InvalidRequest, match="topic"):
        sdk.actions.execute(action.id, {})
    assert sdk.actions.update(action.id, temperature=0.1).temperature == 0.1
    assert action.id in [each.id for each in sdk.actions.list()]
    sdk.actions.delete(action.id)
    with pytest.raises(NotFound) as gone:
        sdk.actions.get(action.id)
    assert gone.value.code == "not_found"
    assert gone.value.metadata["troubleshooting"]
    saved = sdk.actions.save_template(
        source_field="headline_seed",
        template="Sum up: {headline_seed}",
        llm_model="simulated-small",
        temperature=0.2,
        max_tokens=40,
        template_name=f"Short {uuid.uuid4().hex[:6]}",
    )
    assert saved.template_id in [each.template_id for each in sdk.actions.templates("headline_seed").templates]
    assert sdk.prompts.test(prompt="Sum up:", input="A fox", model_name="simulated-small", max_tokens=5).duration > 0
    *pieces, result = sdk.prompts.test_stream(
        prompt="Sum up:", input="A fox", model_name="simulated-small", max_tokens=5
    )
    assert "".join(piece.content for piece in pieces) == result.result


def test_posts_and_what_is_written_about_them(sdk: Client) -> None:
    post = sdk.posts.create(title="Castles", summary="Five castles.")
    section = sdk.posts.create_section(post.id, title="Eilean Donan", content="On an island.")
    assert sdk.posts.update_section(post.id, section.id, content="On a small island.").content == "On a small island."
    assert [each.id for each in sdk.posts.sections(post.id)] == [section.id]
    assert sdk.posts.get(post.id).title == sdk.posts.update(post.id, summary="Four castles.").title
    assert sdk.content.generate_idea(topic="castles").title
    assert sdk.content.expand_section(section.id, tone="dry").content
    assert sdk.content.optimize_seo(post.id, keywords=["castles"]).meta_description
    assert set(sdk.content.generate_social(section.id, platforms=["tiktok"])) == {"tiktok"}
    with pytest.raises(NotFound):
        sdk.content.expand_section(10**9)
    sdk.posts.delete_section(post.id, section.id)
    sdk.posts.delete(post.id)
    assert post.id not in [each.id for each in sdk.posts.list()]


def test_the_configuration_and_engines_are_told(sdk: Client) -> None:
    assert sdk.config.get().provider_type
    assert "simulated-small" in [model.name for model in sdk.config.models()]
    name = f"sdk/model-{uuid.uuid4().hex[:6]}"
    sdk.config.update_model(name, fallbacks=["simulated-small"])
    assert sdk.config.model(name).fallbacks == ["simulated-small"]
    assert [engine for engine in sdk.engines.list() if engine.name.startswith("Simulated")]
    with pytest.raises(InvalidRequest):
        sdk.config.update(provider_type="no such provider")
    with pytest.raises(NotFound):
        sdk.engines.get(10**6)


def test_lists_in_pages_are_read_to_their_end(sdk: Client) -> None:
    prompt = sdk.prompts.create(name=f"Many {uuid.uuid4().hex[:6]}", content="0")
    for number in range(1, 104):
        sdk.prompts.update(prompt.id, content=str(number))
    assert [version.content for version in sdk.prompts.versions(prompt.id)] == [str(n) for n in range(103, -1, -1)]
    assert len(list(sdk.prompts.versions(prompt.id, limit=101))) == 101
