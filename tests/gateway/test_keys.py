"""API keys over HTTP: shown once, kept as a hash, known by every gateway process, gone at once when revoked."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.database import Database
from contracts import orchestrator, router
from contracts.gateway import Budget
from embedded.endpoints import Endpoints
from tests.gateway.conftest import Gateway, Start
from tests.gateway.peers import Peers, job


async def make(gateway: Gateway, **fields: Any) -> Any:
    return await gateway.post("/api/v1/keys", {"name": "test", **fields}, status=201)


async def status_with(gateway: Gateway, key: str, method: str = "GET", path: str = "/api/v1/jobs") -> int:
    return (await gateway.call(method, path, key=key))[0]


async def eventually(gateway: Gateway, key: str, status: int) -> None:
    deadline = time.monotonic() + 5
    while await status_with(gateway, key) != status:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_key_is_shown_once(gateway: Gateway) -> None:
    made = await make(gateway, name="notebook", role="viewer", response_style="plain")
    assert made["key"].startswith(f"llmp_{made['key_id']}_")
    assert {name: made[name] for name in ("name", "role", "response_style", "revoked_at")} == {
        "name": "notebook",
        "role": "viewer",
        "response_style": "plain",
        "revoked_at": None,
    }
    listed = (await gateway.get("/api/v1/keys?limit=1"))["items"][0]
    assert listed == {name: value for name, value in made.items() if name != "key"}


async def test_only_a_hash_is_kept(gateway: Gateway, servers: Endpoints) -> None:
    made = await make(gateway)
    database = await Database.connect(servers["gateway"].database_url, "gateway", size=1)
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM api_keys WHERE key_id = $1", made["key_id"])
    await database.close()
    assert row is not None
    secret = made["key"].split("_", 2)[2]
    assert all(secret not in str(value) for value in row.values())
    assert row["created_by"] == "admin"


async def test_a_key_works_as_soon_as_it_is_made(gateway: Gateway) -> None:
    assert await status_with(gateway, (await make(gateway))["key"]) == 200


async def test_a_revoked_key_is_refused_at_once_and_stays_revoked(gateway: Gateway) -> None:
    made = await make(gateway)
    status, revoked, _ = await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}")
    assert status == 200
    assert revoked["revoked_at"].endswith("Z")
    assert await status_with(gateway, made["key"]) == 401
    assert (await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}"))[1] == revoked


async def test_revoked_keys_are_listed_where_they_are_asked_for(gateway: Gateway) -> None:
    made = await make(gateway)
    await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}")

    async def listed(query: str) -> set[str]:
        page = await gateway.get(f"/api/v1/keys?limit=100{query}")
        assert set(page) == {"items", "total", "limit", "offset", "has_more"}
        return {item["key_id"] for item in page["items"]}

    assert made["key_id"] not in await listed("")
    assert made["key_id"] in await listed("&include_revoked=true")


async def test_pages_follow_one_another(gateway: Gateway) -> None:
    made = [(await make(gateway))["key_id"] for _ in range(3)]
    first = await gateway.get("/api/v1/keys?limit=2")
    second = await gateway.get("/api/v1/keys?limit=2&offset=2")
    assert [item["key_id"] for item in first["items"] + second["items"]][:3] == made[::-1]
    assert first["has_more"] is True
    assert first["total"] == second["total"] >= 3


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_key_that_does_not_exist_is_neither_shown_nor_revoked(method: str, gateway: Gateway) -> None:
    status, body, _ = await gateway.call(method, "/api/v1/keys/nobody")
    assert (status, body["error"], body["metadata"]) == (404, "NOT_FOUND", {"key_id": "nobody"})


@pytest.mark.parametrize("fields", [{"name": ""}, {"role": "owner"}, {"response_style": "rich"}, {"admin": True}])
async def test_a_key_that_does_not_fit_is_refused(fields: dict[str, Any], gateway: Gateway) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/keys", json={"name": "a", **fields})
    assert (status, body["error"]) == (400, "VALIDATION_ERROR")
    assert body["metadata"]["errors"][0]["field"] == next(iter(fields))


WRITES = [
    ("POST", "/api/v1/jobs"),
    ("DELETE", "/api/v1/jobs/job_abc123"),
    ("POST", "/api/v1/datasets/upload"),
    ("POST", "/api/v1/llm/test"),
    ("POST", "/v1/chat/completions"),
]
ADMINISTRATION = [
    ("POST", "/api/v1/keys"),
    ("GET", "/api/v1/keys"),
    ("DELETE", "/api/v1/keys/abc"),
    ("POST", "/api/v1/llm/config"),
]


async def test_a_viewer_reads_and_does_not_write(gateway: Gateway, peers: Peers) -> None:
    key = (await make(gateway, role="viewer"))["key"]
    peers.answer(orchestrator.GET_JOB, job())
    for path in ("/api/v1/jobs", "/api/v1/jobs/job_abc123", "/api/v1/models", "/api/v1/llm/config"):
        assert await status_with(gateway, key, "GET", path) == 200
    peers.heard.clear()
    for method, path in WRITES + ADMINISTRATION:
        assert await status_with(gateway, key, method, path) == 403, path
    assert not peers.heard


async def test_a_member_writes_and_does_not_administer(gateway: Gateway, peers: Peers) -> None:
    key = (await make(gateway, role="member"))["key"]
    for method, path in WRITES:
        assert await status_with(gateway, key, method, path) not in (401, 403), path
    for method, path in ADMINISTRATION:
        assert await status_with(gateway, key, method, path) == 403, path


async def test_an_admin_s_key_does_all(gateway: Gateway, peers: Peers) -> None:
    key = (await make(gateway, role="admin"))["key"]
    peers.answer(router.UPDATE_CONFIG, router.ConfigUpdated())
    made = await gateway.post("/api/v1/keys", {"name": "from a key"}, status=201, key=key)
    assert await status_with(gateway, made["key"]) == 200
    assert await gateway.post("/api/v1/llm/config", {"model_name": "m"}, key=key) == {"success": True}


async def test_every_gateway_process_hears_of_a_change(gateway: Gateway, start: Start) -> None:
    async with start(keys_reload_seconds=3600) as other:
        await asyncio.sleep(0.3)
        made = await make(gateway)
        await eventually(other, made["key"], 200)
        await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}")
        await eventually(other, made["key"], 401)


async def test_a_change_that_went_unheard_is_seen_all_the_same(
    gateway: Gateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.keyring.Keyring.follow_changes", deaf)
    async with start(keys_reload_seconds=0.1) as other:
        await eventually(other, (await make(gateway))["key"], 200)


OPTIONS = {
    "name": "limited",
    "role": "member",
    "response_style": "plain",
    "allowed_models": ["small", "vendor/large"],
    "requests_per_minute": 30,
    "budget": {"usd": 2.5, "tokens": None, "period": "day"},
    "expires_at": "2099-01-01T00:00:00.000000Z",
}


async def test_a_key_keeps_its_options_and_the_services_hear_of_them(gateway: Gateway, peers: Peers) -> None:
    made = await make(gateway, **OPTIONS)
    assert {name: made[name] for name in OPTIONS} == OPTIONS
    await gateway.get("/api/v1/jobs", key=made["key"])
    principal = peers.call(orchestrator.LIST_JOBS).principal
    assert principal is not None
    assert (principal.response_style, principal.models) == ("plain", ("small", "vendor/large"))
    assert principal.budget == Budget(usd=2.5, period="day")


async def test_some_options_are_changed_and_the_others_stay(gateway: Gateway) -> None:
    made = await make(gateway, **OPTIONS)
    path = f"/api/v1/keys/{made['key_id']}"
    status, changed, _ = await gateway.call("PATCH", path, json={"budget": None, "role": "viewer"})
    assert status == 200
    assert {name: changed[name] for name in OPTIONS} == {**OPTIONS, "budget": None, "role": "viewer"}
    assert await gateway.get(path) == changed
    assert await status_with(gateway, made["key"], "POST", "/api/v1/jobs") == 403


async def test_options_are_replaced_and_those_left_out_get_their_default(gateway: Gateway) -> None:
    made = await make(gateway, **OPTIONS)
    path = f"/api/v1/keys/{made['key_id']}"
    status, replaced, _ = await gateway.call("PUT", path, json={"name": "plain", "requests_per_minute": 5})
    assert status == 200
    assert (replaced["name"], replaced["requests_per_minute"], replaced["role"]) == ("plain", 5, "member")
    assert replaced["allowed_models"] is replaced["budget"] is replaced["expires_at"] is None
    assert await status_with(gateway, made["key"]) == 200


async def test_a_revoked_key_cannot_be_changed(gateway: Gateway) -> None:
    made = await make(gateway)
    path = f"/api/v1/keys/{made['key_id']}"
    await gateway.call("DELETE", path)
    assert (await gateway.call("PATCH", path, json={"name": "again"}))[0] == 409
    assert (await gateway.call("PATCH", "/api/v1/keys/nobody", json={}))[0] == 404


async def test_a_key_is_refused_from_its_expiry_on(gateway: Gateway) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    made = await make(gateway, expires_at=soon)
    assert await status_with(gateway, made["key"]) == 200
    await eventually(gateway, made["key"], 401)


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": {"period": "month"}},
        {"budget": {"usd": -1}},
        {"requests_per_minute": 0},
        {"allowed_models": []},
        {"expires_at": "2099-01-01"},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ],
)
async def test_an_option_that_does_not_fit_is_refused(fields: dict[str, Any], gateway: Gateway) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/keys", json={"name": "a", **fields})
    assert (status, body["error"]) == (400, "VALIDATION_ERROR")
