"""Documents A and B over HTTP: prompts, actions, executions, template settings, content, and the posts they need."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import actions, content, prompts
from contracts.actions import (
    Action,
    ActionHistory,
    ActionPage,
    ActionRun,
    ActionRunPage,
    Diagnostics,
    HistoryEntry,
    RunEntered,
    Templates,
    TemplateSettings,
)
from contracts.base import RefusalCode, Refused
from contracts.content import Expansion, Idea, Post, PostPage, Section, SectionPage, SeoSuggestions, SocialPosts
from contracts.prompts import Prompt, PromptPage, PromptVersion, PromptVersionPage
from tests.gateway.conftest import Gateway, Start
from tests.gateway.peers import MOMENT, Peers

TIME = "2026-01-02T03:04:05.000000Z"
LLM = "/api/v1/llm"
TEMPLATE = {"source_field": "idea_seed", "template": "x {a}", "llm_model": "m", "temperature": 0.5, "max_tokens": 9}
SETTINGS = TemplateSettings(template_id="7", template_name="Short", **TEMPLATE)  # type: ignore[arg-type]
PROMPT = Prompt(id=1, name="P", content="About {a}", variables=["a"], version=2, created_at=MOMENT, updated_at=MOMENT)
RUN = ActionRun(
    id=5,
    action_id=1,
    post_id=None,
    input_data={"idea_seed": "x"},
    output_data={"summary": "y"},
    status="completed",
    diagnostics=Diagnostics(tokens_used=150, execution_time=2.5, model="gpt-4", prompt_version=1, simulated=False),
    error=None,
    created_at=MOMENT,
    updated_at=MOMENT,
)


def action(number: int = 1) -> Action:
    return Action(
        id=number,
        name="Generate Summary",
        description="",
        input_field="idea_seed",
        output_field="summary",
        field_name="summary",
        model="gpt-4",
        llm_model="gpt-4",
        status="active",
        prompt_template_id=1,
        prompt_template="About {a}",
        prompt_version=None,
        temperature=0.7,
        max_tokens=1000,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def ends_with(peers: Peers, stream: Any, *ends: Any) -> None:
    """Each execution is entered and ends with the next of `ends`."""
    left = list(ends)

    async def answer(_: Any) -> AsyncIterator[Any]:
        end = left.pop(0) if len(left) > 1 else left[0]
        yield RunEntered(run_id=5)
        if isinstance(end, Exception):
            raise end
        yield end

    peers.stream(stream, answer)


# Both styles


async def test_the_list_of_actions_has_the_key_s_style_or_the_one_that_is_asked_for(
    gateway: Gateway, peers: Peers
) -> None:
    parts = [ActionPage(actions=[action(1), action(2)], more=True), ActionPage(actions=[action(3)], more=False)]
    peers.answer(actions.LIST_ACTIONS, lambda request: parts[1 if request.after == 2 else 0])
    body = await gateway.get(f"{LLM}/actions")
    assert (set(body), body["status"], set(body["data"])) == ({"status", "data"}, "success", {"actions"})
    assert [one["id"] for one in body["data"]["actions"]] == [1, 2, 3]
    assert body["data"]["actions"][0]["created_at"] == TIME
    plain = await gateway.get(f"{LLM}/actions", headers={"X-Response-Style": "plain"})
    assert plain == body["data"]["actions"]

    made = await gateway.post("/api/v1/keys", {"name": "b", "response_style": "plain", "role": "viewer"}, status=201)
    assert await gateway.get(f"{LLM}/actions", key=made["key"]) == plain
    assert await gateway.get(f"{LLM}/actions", key=made["key"], headers={"X-Response-Style": "envelope"}) == body
    status, refused, _ = await gateway.call("GET", f"{LLM}/actions", headers={"X-Response-Style": "xml"})
    assert (status, set(refused["error"]["details"])) == (400, {"X-Response-Style"})
    status, refused, _ = await gateway.call("GET", f"{LLM}/actions?page=2")
    assert (status, refused["error"]["details"]) == (400, {"page": ["unknown field"]})


# Both meanings of a path


async def test_a_slash_tells_saving_template_settings_from_creating_an_action(gateway: Gateway, peers: Peers) -> None:
    peers.answer(actions.CREATE_ACTION, action())
    peers.answer(actions.SAVE_TEMPLATE, SETTINGS)
    body = await gateway.post(
        f"{LLM}/actions", {"field_name": "summary", "prompt_template_id": 1, "llm_model": "gpt-4"}
    )
    assert (set(body), body["status"], body["action"]["field_name"]) == ({"status", "action"}, "success", "summary")
    asked = peers.asked(actions.CREATE_ACTION)
    assert (asked.temperature, asked.max_tokens) == (0.7, 1000)
    assert await gateway.post(f"{LLM}/actions/", TEMPLATE) == {
        "status": "success",
        "message": "Template settings saved successfully",
        "data": {"template_id": "7", "template_name": "Short", **TEMPLATE},
    }
    assert peers.asked(actions.SAVE_TEMPLATE).template_name is None


async def test_digits_are_an_action_and_anything_else_a_source_field(gateway: Gateway, peers: Peers) -> None:
    peers.answer(actions.GET_ACTION, action())
    peers.answer(actions.GET_TEMPLATES, Templates(templates=[SETTINGS], models=["m"]))
    assert (await gateway.get(f"{LLM}/actions/1"))["prompt_template"] == "About {a}"
    assert peers.asked(actions.GET_ACTION).action_id == 1
    assert await gateway.get(f"{LLM}/actions/idea_seed") == {
        "status": "success",
        "data": {"templates": [{"template_id": "7", "template_name": "Short", **TEMPLATE}], "models": ["m"]},
    }
    for named in ("1a", "-1", "Größe", "a b"):
        await gateway.get(f"{LLM}/actions/{named}")
        assert peers.asked(actions.GET_TEMPLATES).source_field == named
    for number in ("0", "9" * 30):
        status, body, _ = await gateway.call("GET", f"{LLM}/actions/{number}")
        assert (status, set(body["error"]["details"])) == (400, {"action_id"})


async def test_errors_of_template_settings_are_an_object_by_field(gateway: Gateway, peers: Peers) -> None:
    status, body, _ = await gateway.call("POST", f"{LLM}/actions/", json={"source_field": "12", "temperature": 3})
    assert status == 400
    assert (body["status"], set(body)) == ("error", {"status", "message", "errors", "error"})
    assert set(body["errors"]) == {"source_field", "template", "llm_model", "temperature", "max_tokens"}
    assert body["errors"]["template"] == ["field required"]
    assert body["error"]["details"] == body["errors"]
    status, body, _ = await gateway.call("GET", f"{LLM}/actions/idea_seed", key=None)
    assert (status, body["errors"], body["error"]["type"]) == (401, {}, "unauthenticated")
    status, body, _ = await gateway.call("POST", f"{LLM}/actions", json={})
    assert (status, type(body["errors"])) == (400, list)


# Executions


async def test_an_execution_ends_in_the_documented_envelope(gateway: Gateway, peers: Peers) -> None:
    ends_with(peers, actions.EXECUTE_ACTION, RUN)
    body = await gateway.post(f"{LLM}/actions/1/execute", {"input_data": {"idea_seed": "x"}})
    assert (set(body), set(body["data"])) == ({"status", "data"}, {"action_run"})
    run = body["data"]["action_run"]
    assert {name: run[name] for name in ("id", "action_id", "input_data", "output_data", "status")} == {
        "id": 5,
        "action_id": 1,
        "input_data": {"idea_seed": "x"},
        "output_data": {"summary": "y"},
        "status": "completed",
    }
    assert run["diagnostics"]["tokens_used"] == 150
    assert (run["created_at"], run["updated_at"]) == (TIME, TIME)
    assert peers.call(actions.EXECUTE_ACTION).idempotency_key, "whoever is asked twice must know"
    peers.answer(actions.GET_ACTION_RUN, RUN)
    assert await gateway.get(f"{LLM}/actions/1/runs/5") == body


async def test_a_failed_execution_satisfies_both_documents(gateway: Gateway, peers: Peers) -> None:
    failure = Refused(
        RefusalCode.RATE_LIMITED,
        "Action execution failed",
        {
            "type": "rate_limited",
            "temporary": True,
            "troubleshooting": ["Wait."],
            "retry_after": 7,
            "entry": {
                "code": "execution_error",
                "message": "Failed to generate summary",
                "details": "Model error: Rate limit exceeded",
            },
            "details": {"run_id": ["5"]},
        },
    )
    ends_with(peers, actions.EXECUTE_ACTION, failure)
    status, body, headers = await gateway.call("POST", f"{LLM}/actions/1/execute", json={"input_data": {}})
    assert (status, headers["Retry-After"]) == (429, "7")
    assert body == {
        "status": "error",
        "message": "Action execution failed",
        "errors": [
            {
                "code": "execution_error",
                "message": "Failed to generate summary",
                "details": "Model error: Rate limit exceeded",
            }
        ],
        "error": {
            "type": "rate_limited",
            "message": "Model error: Rate limit exceeded",
            "details": {"run_id": ["5"]},
            "troubleshooting": ["Wait."],
            "temporary": True,
        },
    }


async def test_an_action_that_is_not_there_is_told_in_document_a_s_words(gateway: Gateway, peers: Peers) -> None:
    refusal = Refused(RefusalCode.NOT_FOUND, "Action not found", {"entry": {"message": "Action with id 1 not found"}})
    peers.answer(actions.GET_ACTION, refusal)
    status, body, _ = await gateway.call("GET", f"{LLM}/actions/1")
    assert (status, body["message"]) == (404, "Action not found")


async def test_an_execution_whose_process_died_is_asked_for_under_the_same_key(gateway: Gateway, peers: Peers) -> None:
    lost = Refused(RefusalCode.UNAVAILABLE, "The orchestrator stopped answering half-way")
    ends_with(peers, actions.EXECUTE_ACTION, lost, RUN)
    await gateway.post(f"{LLM}/actions/1/execute", {"input_data": {}})
    calls = [call for subject, _, call in peers.heard if subject == actions.EXECUTE_ACTION.subject]
    assert len(calls) == 2
    assert calls[0].idempotency_key == calls[1].idempotency_key
    ended = Refused(RefusalCode.UNAVAILABLE, "Action execution failed", {"entry": {"message": "It stopped"}})
    ends_with(peers, actions.EXECUTE_ACTION, lost, ended)
    status, body, _ = await gateway.call("POST", f"{LLM}/actions/1/execute", json={"input_data": {}})
    assert (status, body["errors"][0]["message"]) == (503, "It stopped")


async def test_the_caller_s_idempotency_key_is_handed_on(gateway: Gateway, peers: Peers) -> None:
    ends_with(peers, content.GENERATE_IDEA, Idea(title="t", outline=[], keywords=[]))
    headers = {"Idempotency-Key": "once"}
    await gateway.post(f"{LLM}/generate-idea", {"topic": "x"}, headers=headers)
    assert peers.call(content.GENERATE_IDEA).idempotency_key == "once"
    status, body, _ = await gateway.call(
        "POST", f"{LLM}/generate-idea", json={"topic": "x"}, headers={"Idempotency-Key": "x" * 256}
    )
    assert (status, set(body["error"]["details"])) == (400, {"Idempotency-Key"})


async def test_executions_have_a_limit_of_their_own_and_reads_have_none(start: Start, peers: Peers) -> None:
    ends_with(peers, actions.EXECUTE_ACTION, RUN)
    ends_with(peers, content.GENERATE_IDEA, Idea(title="t", outline=[], keywords=[]))
    peers.answer(actions.GET_ACTION, action())
    peers.answer(actions.GET_TEMPLATES, Templates(templates=[], models=[]))
    async with start(executions_per_day=2) as gateway:
        key = (await gateway.post("/api/v1/keys", {"name": "limited", "requests_per_minute": 4}, status=201))["key"]
        await gateway.post(f"{LLM}/actions/1/execute", {"input_data": {}}, key=key)
        await gateway.post(f"{LLM}/generate-idea", {"topic": "x"}, key=key)
        status, body, headers = await gateway.call("POST", f"{LLM}/actions/1/execute", json={"input_data": {}}, key=key)
        assert (status, body["error"]["type"]) == (429, "rate_limited")
        assert (headers["X-RateLimit-Limit"], int(headers["Retry-After"]) > 0) == ("2", True)
        for path in (f"{LLM}/actions/1", f"{LLM}/actions/idea_seed") * 4:
            await gateway.get(path, key=key)


# The rest of the rows


async def test_an_action_is_changed_deleted_and_has_a_history(gateway: Gateway, peers: Peers) -> None:
    for rpc in (actions.UPDATE_ACTION, actions.DELETE_ACTION):
        peers.answer(rpc, action())
    entry = HistoryEntry(
        id=5,
        action_id=1,
        post_id=None,
        input_text="i",
        output_text="o",
        status="completed",
        error_message=None,
        created_at=MOMENT,
    )
    peers.answer(actions.GET_HISTORY, ActionHistory(action=action(), history=[entry], total=1, has_more=False))
    peers.answer(actions.LIST_ACTION_RUNS, ActionRunPage(items=[RUN], total=1, limit=20, offset=0, has_more=False))
    status, body, _ = await gateway.call("PUT", f"{LLM}/actions/1", json={"temperature": 0})
    assert (status, set(body)) == (200, {"status", "action"})
    asked = peers.asked(actions.UPDATE_ACTION)
    assert (asked.action_id, asked.temperature, asked.name) == (1, 0, None)
    status, body, _ = await gateway.call("DELETE", f"{LLM}/actions/1")
    assert (status, body) == (200, {"status": "success"})
    body = await gateway.get(f"{LLM}/actions/1/history")
    assert body["action"]["field_name"] == "summary"
    documented = {"id", "action_id", "post_id", "input_text", "output_text", "status", "error_message", "created_at"}
    assert set(body["history"][0]) == documented
    page = await gateway.get(f"{LLM}/actions/1/runs?limit=20")
    assert (page["items"][0]["id"], page["has_more"]) == (5, False)
    status, body, _ = await gateway.call("PUT", f"{LLM}/actions/idea_seed", json={})
    assert (status, set(body["error"]["details"]), type(body["errors"])) == (400, {"action_id"}, list)
    status, _, headers = await gateway.call("GET", f"{LLM}/actions/")
    assert (status, headers["Allow"]) == (405, "POST")


async def test_prompts_come_in_document_a_s_envelope(gateway: Gateway, peers: Peers) -> None:
    peers.answer(prompts.LIST_PROMPTS, PromptPage(prompts=[PROMPT], more=False))
    for rpc in (prompts.CREATE_PROMPT, prompts.GET_PROMPT, prompts.UPDATE_PROMPT, prompts.DELETE_PROMPT):
        peers.answer(rpc, PROMPT)
    version = PromptVersion(version=2, content="x", variables=[], created_at=MOMENT)
    page = PromptVersionPage(items=[version], total=2, limit=1, offset=0, has_more=True)
    peers.answer(prompts.LIST_PROMPT_VERSIONS, page)
    body = await gateway.get(f"{LLM}/prompts")
    (one,) = body["data"]["prompts"]
    assert {name: one[name] for name in ("id", "name", "content", "variables", "created_at", "updated_at")} == {
        "id": 1,
        "name": "P",
        "content": "About {a}",
        "variables": ["a"],
        "created_at": TIME,
        "updated_at": TIME,
    }
    made = await gateway.post(f"{LLM}/prompts", {"name": "P", "content": "About {a}"}, status=201)
    assert made == {"status": "success", "data": {"prompt": one}}
    assert await gateway.get(f"{LLM}/prompts/1") == made
    assert (await gateway.call("PUT", f"{LLM}/prompts/1", json={"content": "x"}))[1] == made
    assert (await gateway.call("DELETE", f"{LLM}/prompts/1"))[1] == {"status": "success"}
    assert (await gateway.get(f"{LLM}/prompts/1/versions?limit=1"))["has_more"] is True


async def test_content_has_the_documented_defaults_and_forms(gateway: Gateway, peers: Peers) -> None:
    ends_with(peers, content.GENERATE_IDEA, Idea(title="t", outline=["o"], keywords=["k"]))
    ends_with(
        peers, content.EXPAND_SECTION, Expansion(content="c", keywords=["k"], social_media_snippets={"blog": "s"})
    )
    suggestions = {"title_suggestions": ["t"], "meta_description": "m", "keyword_suggestions": ["k"]}
    ends_with(peers, content.OPTIMIZE_SEO, SeoSuggestions(**suggestions))  # type: ignore[arg-type]
    ends_with(peers, content.GENERATE_SOCIAL, SocialPosts(posts={"tiktok": "a", "instagram": "b"}))
    assert await gateway.post(f"{LLM}/generate-idea", {"topic": "x"}) == {
        "title": "t",
        "outline": ["o"],
        "keywords": ["k"],
    }
    asked = peers.asked(content.GENERATE_IDEA)
    assert (asked.style, asked.audience) == ("informative", "Scottish heritage enthusiasts")
    body = await gateway.post(f"{LLM}/expand-section/3", {})
    assert body == {"content": "c", "keywords": ["k"], "social_media_snippets": {"blog": "s"}}
    expand = peers.asked(content.EXPAND_SECTION)
    assert (expand.section_id, expand.tone, expand.platforms) == (3, "professional", ["blog"])
    assert await gateway.post(f"{LLM}/optimize-seo/4", {"keywords": ["a"]}) == {"suggestions": suggestions}
    status, body, _ = await gateway.call("POST", f"{LLM}/generate-social/3")
    assert (status, body) == (200, {"tiktok": "a", "instagram": "b"}), "all of its body is optional"
    assert peers.asked(content.GENERATE_SOCIAL).platforms == ["tiktok", "instagram"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate-idea", {}, "topic"),
        ("/generate-idea", {"topic": " "}, "topic"),
        ("/generate-idea", {"topic": "x", "tone": "y"}, "tone"),
        ("/expand-section/x", {}, "section_id"),
        ("/expand-section/1", {"platforms": []}, "platforms"),
        ("/expand-section/1", {"platforms": "blog"}, "platforms"),
        ("/optimize-seo/1", {}, "keywords"),
        ("/generate-social/0", {}, "section_id"),
        ("/actions/1/execute", {}, "input_data"),
        ("/actions/1/execute", {"input_data": []}, "input_data"),
        ("/prompts", {"name": "", "content": "x"}, "name"),
        ("/actions", {"prompt_template_id": 1, "temperature": 2.5}, "temperature"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_request_is_named(gateway: Gateway, path: str, body: Any, field: str) -> None:
    status, answer, _ = await gateway.call("POST", f"{LLM}{path}", json=body)
    assert (status, answer["error"]["type"]) == (400, "invalid")
    assert any(name.split(".")[0] == field for name in answer["error"]["details"])


async def test_posts_and_sections_have_document_e_s_forms(gateway: Gateway, peers: Peers) -> None:
    post = Post(id=1, title="t", summary="", created_at=MOMENT, updated_at=MOMENT)
    section = Section(id=2, post_id=1, position=0, title="s", content="", created_at=MOMENT, updated_at=MOMENT)
    peers.answer(content.LIST_POSTS, PostPage(items=[post], total=1, limit=20, offset=0, has_more=False))
    peers.answer(content.LIST_SECTIONS, SectionPage(items=[section], total=1, limit=20, offset=0, has_more=False))
    posts, sections = "/api/v1/posts", "/api/v1/posts/1/sections"
    for collection, one, verbs in (
        (posts, post, (content.CREATE_POST, content.GET_POST, content.UPDATE_POST, content.DELETE_POST)),
        (
            sections,
            section,
            (content.CREATE_SECTION, content.GET_SECTION, content.UPDATE_SECTION, content.DELETE_SECTION),
        ),
    ):
        for rpc in verbs:
            peers.answer(rpc, one)  # type: ignore[arg-type]
        told = one.model_dump(mode="json")
        page = await gateway.get(collection)
        assert page == {"items": [told], "total": 1, "limit": 20, "offset": 0, "has_more": False}
        assert await gateway.post(collection, {"title": "t"}, status=201) == told
        path = f"{collection}/{one.id}"
        assert await gateway.get(path) == told
        assert (await gateway.call("PUT", path, json={"title": "t"}))[:2] == (200, told)
        assert (await gateway.call("DELETE", path))[:2] == (200, told)
    status, body, _ = await gateway.call("POST", posts, json={})
    assert (status, set(body), body["error"]) == (400, {"error", "message", "metadata"}, "VALIDATION_ERROR")
    peers.answer(content.GET_POST, Refused(RefusalCode.NOT_FOUND, "There is no post 9", {"post_id": 9}))
    assert (await gateway.call("GET", f"{posts}/9"))[1]["error"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "value", ["[" * 500 + "]" * 500, "1e400", "NaN", '"\\ud800"'], ids=["deep", "large", "no", "half"]
)
async def test_values_that_json_cannot_carry_are_refused_at_the_door(
    gateway: Gateway, peers: Peers, value: str
) -> None:
    ends_with(peers, actions.EXECUTE_ACTION, RUN)
    body = f'{{"input_data": {{"a": {value}}}}}'
    status, answer, _ = await gateway.call("POST", f"{LLM}/actions/1/execute", data=body)
    assert (status, set(answer["error"]["details"])) == (400, {"body"})
    assert not peers.heard


async def test_what_is_no_number_is_refused_where_bodies_are_read_but_once(gateway: Gateway, peers: Peers) -> None:
    body = '{"model": "m", "messages": [{"role": "user", "content": "NaN and Infinity"}], "logit_scale": NaN}'
    status, answer, _ = await gateway.call("POST", "/v1/chat/completions", data=body)
    assert (status, answer["error"]["param"]) == (400, "body")
    assert not peers.heard
