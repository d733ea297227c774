"""Rows about engines, single models, what was asked and answered, and what it used."""

import pytest

from contracts import engines, interactions
from contracts.base import RefusalCode, Refused
from contracts.engines import ModelSettings
from contracts.interactions import InteractionPage, UsagePage
from tests.gateway.conftest import Gateway
from tests.gateway.peers import Peers

NONE = InteractionPage(items=[], total=0, limit=20, offset=0, has_more=False, next_cursor=None)


async def member_key(gateway: Gateway) -> str:
    made = await gateway.post("/api/v1/keys", {"name": "m", "role": "member"}, status=201)
    key: str = made["key"]
    return key


async def test_interactions_are_asked_for_with_their_filters_in_the_callers_name(
    gateway: Gateway, peers: Peers
) -> None:
    peers.answer(interactions.LIST_INTERACTIONS, NONE)
    query = "model=a/b&status=failed&since=2026-01-02T03:04:05Z&limit=5&key=key_1"
    page = await gateway.get(f"/api/v1/llm/interactions?{query}", key=await member_key(gateway))
    assert page == {"items": [], "total": 0, "limit": 20, "offset": 0, "has_more": False, "next_cursor": None}
    asked = peers.asked(interactions.LIST_INTERACTIONS)
    assert (asked.model, asked.status, asked.limit, asked.key) == ("a/b", "failed", 5, "key_1")
    assert asked.since is not None
    principal = peers.call(interactions.LIST_INTERACTIONS).principal
    assert principal is not None
    assert principal.role == "member"


@pytest.mark.parametrize(
    "query",
    ["since=0001-01-01T00:00:00%2B14:00", "since=yesterday", "limit=0", "offset=-1", "status=odd", "model=", "odd=1"],
)
async def test_filters_that_mean_nothing_are_refused_by_name(gateway: Gateway, query: str) -> None:
    status, body, _ = await gateway.call("GET", f"/api/v1/llm/interactions?{query}")
    assert status == 400
    assert list(body["error"]["details"]) == [query.split("=", maxsplit=1)[0]]


async def test_an_interaction_of_others_is_not_there(gateway: Gateway, peers: Peers) -> None:
    peers.answer(interactions.GET_INTERACTION, Refused(RefusalCode.NOT_FOUND, "There is no interaction 'x'"))
    status, body, _ = await gateway.call("GET", "/api/v1/llm/interactions/x")
    assert (status, body["message"]) == (404, "There is no interaction 'x'")


async def test_usage_is_summed_by_what_is_named(gateway: Gateway, peers: Peers) -> None:
    peers.answer(interactions.GET_USAGE, UsagePage(items=[], total=0, limit=100, offset=0, has_more=False))
    await gateway.get("/api/v1/llm/usage?group_by=model,key&since=2026-01-02")
    assert peers.asked(interactions.GET_USAGE).group_by == "model,key"
    status, body, _ = await gateway.call("GET", "/api/v1/llm/usage?group_by=colour")
    assert (status, list(body["error"]["details"])) == (400, ["group_by"])
    assert (await gateway.call("GET", "/api/v1/llm/usage?until=0001-01-02"))[0] == 400


async def test_a_models_settings_are_read_by_all_and_written_by_administrators(gateway: Gateway, peers: Peers) -> None:
    said = ModelSettings(model="meta-llama/Llama-3", enabled=False)
    peers.answer(engines.GET_MODEL_SETTINGS, said)
    peers.answer(engines.PUT_MODEL_SETTINGS, said)
    path = "/api/v1/llm/models/meta-llama/Llama-3/settings"
    key = await member_key(gateway)
    body = await gateway.get(path, key=key)
    assert (body["model"], body["enabled"], body["prices"]) == ("meta-llama/Llama-3", False, None)
    assert (await gateway.call("PUT", path, key=key, json={"enabled": False}))[0] == 403
    status, _, _ = await gateway.call(
        "PUT", path, json={"enabled": False, "prices": {"input": "1", "output": 2.5}, "fallbacks": ["m"]}
    )
    assert status == 200
    asked = peers.asked(engines.PUT_MODEL_SETTINGS)
    assert (asked.model, asked.enabled, asked.fallbacks) == ("meta-llama/Llama-3", False, ["m"])
    assert asked.prices is not None
    assert str(asked.prices.output) == "2.5"
    status, body, _ = await gateway.call("PUT", path, json={"prices": {"input": -1, "output": 0}})
    assert (status, list(body["error"]["details"])) == (400, ["prices.input"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/llm/engines"),
        ("PUT", "/api/v1/llm/engines/1"),
        ("DELETE", "/api/v1/llm/engines/1"),
        ("POST", "/api/v1/llm/config"),
    ],
)
async def test_only_administrators_change_engines(gateway: Gateway, method: str, path: str) -> None:
    status, body, _ = await gateway.call(method, path, key=await member_key(gateway), json={})
    assert (status, body["error"]["type"]) == (403, "forbidden")
