"""Document B on the whole, fresh platform: every exchange as it is printed there."""

from typing import Any

import aiohttp
import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

LLM = "/api/v1/llm"
ACTION = {
    "id": "integer",
    "field_name": "string",
    "prompt_template": "string",
    "llm_model": "string",
    "temperature": "number",
    "max_tokens": "number",
    "created_at": "string (ISO datetime)",
    "updated_at": "string (ISO datetime)",
}
ERROR = {
    "status": "error",
    "error": {"type": "string", "message": "string", "details": {}, "troubleshooting": ["string"]},
}
SETTINGS = {
    "template_id": "string",
    "template_name": "string",
    "source_field": "string",
    "template": "string",
    "llm_model": "string",
    "temperature": "number",
    "max_tokens": "number",
}
NEW = {"field_name": "headline", "prompt_template_id": 1, "llm_model": "simulated-small"}


async def refused(caller: Caller, method: str, path: str, status: int, **options: Any) -> Any:
    got, answer = await caller.call(method, LLM + path, **options)
    assert got == status, answer
    conforms(answer, ERROR)
    return answer


async def create(caller: Caller, **fields: Any) -> Any:
    answer = await caller.post(f"{LLM}/actions", NEW | fields)
    conforms(answer, {"status": "success", "action": ACTION})
    return answer["action"]


# LLM actions


async def test_list_actions_plain(caller: Caller, platform: Platform) -> None:
    key = await caller.post("/api/v1/keys", {"name": "document B", "role": "member", "response_style": "plain"})
    async with Caller(platform.url, key["key"]) as other:
        answer = await other.get(f"{LLM}/actions")
    conforms(answer, [ACTION])
    status, same = await caller.call("GET", f"{LLM}/actions", headers={"X-Response-Style": "plain"})
    assert (status, same) == (200, answer)
    status, enveloped = await caller.call("GET", f"{LLM}/actions")
    assert enveloped["data"]["actions"] == answer


async def test_create_get_update_and_delete_an_action(caller: Caller) -> None:
    action = await create(caller)
    assert (action["field_name"], action["temperature"], action["max_tokens"]) == ("headline", 0.7, 1000)
    path = f"{LLM}/actions/{action['id']}"
    found = await caller.get(path)
    conforms(found, ACTION)
    assert found == action
    status, answer = await caller.call("PUT", path, json={"temperature": 0.1, "max_tokens": 20})
    assert status == 200
    conforms(answer, {"status": "success", "action": ACTION})
    changed = answer["action"]
    assert (changed["temperature"], changed["max_tokens"], changed["field_name"]) == (0.1, 20, "headline")
    assert await caller.call("DELETE", path) == (200, {"status": "success"})
    await refused(caller, "GET", f"/actions/{action['id']}", 404)
    await refused(caller, "PUT", f"/actions/{action['id']}", 404, json={"max_tokens": 1})
    await refused(caller, "DELETE", f"/actions/{action['id']}", 404)
    await refused(caller, "POST", "/actions", 400, json={"field_name": "headline"})


async def test_action_history(caller: Caller) -> None:
    action = await create(caller, llm_model="default")
    post = await caller.post("/api/v1/posts", {"title": "Castles"})
    asked = {"input_data": {"idea_seed": "Castles in the mist"}, "post_id": post["id"]}
    await caller.post(f"{LLM}/actions/{action['id']}/execute", asked)
    answer = await caller.get(f"{LLM}/actions/{action['id']}/history")
    entry = {
        "id": "integer",
        "action_id": "integer",
        "post_id": "integer|null",
        "input_text": "string",
        "output_text": "string",
        "status": "string",
        "error_message": "string|null",
        "created_at": "string (ISO datetime)",
    }
    conforms(answer, {"action": ACTION, "history": [entry]})
    (one,) = answer["history"]
    assert one["input_text"] == "Generate a summary based on the following idea: Castles in the mist"
    assert (one["post_id"], one["status"], one["error_message"]) == (post["id"], "completed", None)


# Configuration and test


async def test_get_and_update_the_configuration(caller: Caller) -> None:
    config = await caller.get(f"{LLM}/config")
    conforms(config, {"provider_type": "string", "model_name": "string", "api_base": "string"})
    assert set(config) == {"provider_type", "model_name", "api_base"}
    assert await caller.post(f"{LLM}/config", {"model_name": "simulated-medium"}) == {"success": True}
    try:
        assert (await caller.get(f"{LLM}/config"))["model_name"] == "simulated-medium"
    finally:
        await caller.post(f"{LLM}/config", {"model_name": config["model_name"]})


async def test_test_llm(caller: Caller) -> None:
    body = {
        "prompt": "Say hello",
        "model_name": "simulated-small",
        "temperature": 0.7,
        "max_tokens": 1000,
        "input": "x",
    }
    answer = await caller.post(f"{LLM}/test", body)
    conforms(answer, {"result": "string", "model": "string", "duration": "number"})
    assert answer["model"] == "simulated-small"
    shortest = await caller.post(f"{LLM}/test", {"prompt": "Say hello", "input": "x"})
    conforms(shortest, {"result": "string", "model": "string", "duration": "number"})
    error = await refused(caller, "POST", "/test", 404, json={"prompt": "x", "model_name": "nobody", "input": ""})
    assert error["error"]["type"] == "model_not_found"
    error = await refused(caller, "POST", "/test", 400, json={"input": "x"})
    assert error["error"]["details"] == {"prompt": ["field required"]}


async def test_who_has_no_key_is_unauthorized(platform: Platform) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{platform.url}{LLM}/actions") as response:
        assert response.status == 401
        conforms(await response.json(), ERROR)


# Content


@pytest.fixture
async def section(caller: Caller) -> Any:
    post = await caller.post("/api/v1/posts", {"title": "Castles of the Highlands", "summary": "Five of them"})
    path = f"/api/v1/posts/{post['id']}/sections"
    return await caller.post(path, {"title": "Eilean Donan", "content": "It stands on an island."})


async def test_generate_idea(caller: Caller) -> None:
    documented = {"title": "string", "outline": ["string"], "keywords": ["string"]}
    answer = await caller.post(f"{LLM}/generate-idea", {"topic": "Castles"})
    conforms(answer, documented)
    assert "[simulated]" in answer["title"], "what no model made says so"
    body = {"topic": "Castles", "style": "informative", "audience": "Scottish heritage enthusiasts"}
    conforms(await caller.post(f"{LLM}/generate-idea", body), documented)
    await refused(caller, "POST", "/generate-idea", 400, json={})


async def test_expand_section(caller: Caller, section: Any) -> None:
    path = f"{LLM}/expand-section/{section['id']}"
    answer = await caller.post(path, {"tone": "professional", "platforms": ["blog"]})
    conforms(answer, {"content": "string", "keywords": ["string"], "social_media_snippets": {"blog": "string"}})
    answer = await caller.post(path, {})
    assert set(answer["social_media_snippets"]) == {"blog"}
    await refused(caller, "POST", "/expand-section/999999", 404, json={})


async def test_optimize_seo(caller: Caller, section: Any) -> None:
    answer = await caller.post(f"{LLM}/optimize-seo/{section['post_id']}", {"keywords": ["castle"]})
    suggestions = {"title_suggestions": ["string"], "meta_description": "string", "keyword_suggestions": ["string"]}
    conforms(answer, {"suggestions": suggestions})
    await refused(caller, "POST", "/optimize-seo/999999", 404, json={"keywords": ["castle"]})


async def test_generate_social(caller: Caller, section: Any) -> None:
    path = f"{LLM}/generate-social/{section['id']}"
    answer = await caller.post(path, {"platforms": ["tiktok", "instagram"]})
    conforms(answer, {"tiktok": "string", "instagram": "string"})
    assert set(await caller.post(path, {})) == {"tiktok", "instagram"}
    assert set(await caller.post(path, {"platforms": ["mastodon"]})) == {"mastodon"}


async def test_the_content_prompts_are_ordinary_prompts(caller: Caller, section: Any) -> None:
    prompts = (await caller.get(f"{LLM}/prompts"))["data"]["prompts"]
    social = next(prompt for prompt in prompts if prompt["name"] == "Social Media Content")
    path = f"{LLM}/prompts/{social['id']}"
    status, answer = await caller.call("PUT", path, json={"content": "Shout about {section_title} on {platforms}!"})
    assert (status, answer["data"]["prompt"]["version"]) == (200, social["version"] + 1)
    try:
        await caller.post(f"{LLM}/generate-social/{section['id']}", {"platforms": ["blog"]})
        actions = (await caller.get(f"{LLM}/actions"))["data"]["actions"]
        action = next(one for one in actions if one["prompt_template_id"] == social["id"])
        (newest, *_) = (await caller.get(f"{LLM}/actions/{action['id']}/history"))["history"]
        assert newest["input_text"].startswith("Shout about Eilean Donan on blog!")
    finally:
        await caller.call("PUT", path, json={"content": social["content"]})
    await refused(caller, "DELETE", f"/prompts/{social['id']}", 409)


# Template settings


async def test_save_and_get_template_settings(caller: Caller) -> None:
    body = {
        "source_field": "story_idea",
        "template": "Make more of this: {story_idea}",
        "llm_model": "simulated-small",
        "temperature": 0.7,
        "max_tokens": 1000,
        "template_name": "More of a story",
    }
    answer = await caller.post(f"{LLM}/actions/", body)
    conforms(answer, {"status": "success", "message": "string", "data": SETTINGS})
    assert answer["message"] == "Template settings saved successfully"
    again = await caller.post(f"{LLM}/actions/", {**body, "temperature": 0.2})
    assert again["data"] == answer["data"] | {"temperature": 0.2}, "the same template, changed"
    found = await caller.get(f"{LLM}/actions/story_idea")
    conforms(found, {"status": "success", "data": {"templates": [SETTINGS], "models": ["string"]}})
    assert found["data"]["templates"] == [again["data"]]
    assert "simulated-small" in found["data"]["models"]
    assert (await caller.get(f"{LLM}/actions/nothing_saved"))["data"]["templates"] == []
    status, error = await caller.call("POST", f"{LLM}/actions/", json={"source_field": "story_idea"})
    assert status == 400
    conforms(error, {"status": "error", "message": "string", "errors": {"template": ["field required"]}})
