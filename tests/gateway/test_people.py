"""Users and their sessions: what a person can do with a name, a password and a browser."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from common.database import Database
from contracts import orchestrator
from embedded.endpoints import Endpoints
from gateway.domain.people import digest
from gateway.people.sessions import Sessions
from gateway.store import people as store
from tests.gateway.conftest import Answer, Gateway, Start
from tests.gateway.peers import Peers

PASSWORD = "correct horse battery"


@dataclass
class Browser:
    """Keeps cookies and sends the CSRF token, as the pages do."""

    url: str
    client: aiohttp.ClientSession
    csrf: str | None = None

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        headers = {**({"X-CSRF-Token": self.csrf} if self.csrf else {}), **options.pop("headers", {})}
        async with self.client.request(method, self.url + path, headers=headers, **options) as response:
            return response.status, await response.json(), response.headers

    async def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        status, body, headers = await self.call("POST", "/api/v1/login", json={"name": name, "password": password})
        self.csrf = body.get("csrf_token", self.csrf)
        return status, body, headers

    async def status(self, method: str = "GET", path: str = "/api/v1/me", **options: Any) -> int:
        return (await self.call(method, path, **options))[0]


@asynccontextmanager
async def browser(gateway: Gateway) -> AsyncIterator[Browser]:
    # The tests' host is an address, for which aiohttp keeps no cookies unless told to.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield Browser(gateway.url, client)


async def person(gateway: Gateway, **fields: Any) -> Any:
    new = {"name": f"Ada {uuid.uuid4().hex[:8]}", "password": PASSWORD, **fields}
    return await gateway.post("/api/v1/users", new, status=201)


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    """The gateway's own, beside it."""
    connected = await Database.connect(servers["gateway"].database_url, "gateway", size=2)
    yield connected
    await connected.close()


def token_of(headers: Mapping[str, str]) -> str:
    """What a session's cookie holds."""
    return headers["Set-Cookie"].split("=", 1)[1].split(";")[0]


async def eventually(other: Browser, status: int) -> None:
    deadline = time.monotonic() + 5
    while await other.status() != status:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_person_logs_in_and_works_in_the_session(gateway: Gateway, peers: Peers) -> None:
    user = await person(gateway)
    async with browser(gateway) as ada:
        assert await ada.status() == 401
        status, body, headers = await ada.log_in(user["name"].upper())
        assert (status, body["user"]) == (200, user)
        cookie = headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "Secure" not in cookie
        assert await ada.status("GET", "/api/v1/jobs") == 200
        principal = peers.call(orchestrator.LIST_JOBS).principal
        assert principal is not None
        assert (principal.id, principal.name, principal.role) == (user["user_id"], user["name"], "member")
        _, me, _ = await ada.call("GET", "/api/v1/me")
        assert (me["kind"], me["id"], me["csrf_token"]) == ("session", user["user_id"], ada.csrf)
        assert await ada.status("GET", "/api/v1/keys") == 403


async def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_alone(start: Start) -> None:
    async with start(trusted_proxies=["127.0.0.0/8"]) as gateway, browser(gateway) as ada:
        user = await person(gateway)
        credentials = {"name": user["name"], "password": PASSWORD}
        for scheme, secure in (("https", True), ("http", False)):
            headers = {"X-Forwarded-Proto": scheme}
            _, _, answered = await ada.call("POST", "/api/v1/login", json=credentials, headers=headers)
            assert ("Secure" in answered["Set-Cookie"]) is secure
    async with start(secure_cookies=True) as gateway, browser(gateway) as ada:
        assert "Secure" in (await ada.log_in(user["name"]))[2]["Set-Cookie"]


async def test_only_hashes_are_kept(gateway: Gateway, database: Database) -> None:
    user = await person(gateway)
    async with browser(gateway) as ada:
        _, _, headers = await ada.log_in(user["name"])
    token = token_of(headers)
    async with database.connection() as connection:
        kept = await connection.fetchrow(
            "SELECT * FROM users JOIN sessions USING (user_id) WHERE user_id = $1", user["user_id"]
        )
    assert kept is not None
    assert kept["password"].startswith("$argon2id$")
    assert all(token not in str(value) and PASSWORD not in str(value) for value in kept.values())


async def test_what_changes_something_needs_the_token_that_only_our_pages_know(gateway: Gateway, peers: Peers) -> None:
    user = await person(gateway)
    async with browser(gateway) as ada:
        await ada.log_in(user["name"])
        for forged in ("", "0" * 64):
            status, body, _ = await ada.call("POST", "/api/v1/jobs", json={}, headers={"X-CSRF-Token": forged})
            assert (status, body["error"]) == (403, "FORBIDDEN")
        assert await ada.status("POST", "/api/v1/jobs", json={"unknown": 1}) == 400


async def test_a_wrong_name_and_a_wrong_password_look_and_last_the_same(start: Start) -> None:
    async with start() as gateway, browser(gateway) as ada:
        user = await person(gateway)
        disabled = await person(gateway)
        await gateway.call("PATCH", f"/api/v1/users/{disabled['user_id']}", json={"disabled": True})
        await ada.log_in("warm up")
        seconds, bodies = [], []
        for name, password in ((user["name"], "wrong"), ("nobody at all", PASSWORD), (disabled["name"], PASSWORD)):
            started = time.perf_counter()
            status, body, _ = await ada.log_in(name, password)
            seconds.append(time.perf_counter() - started)
            bodies.append((status, body))
        assert bodies[0] == bodies[1] == bodies[2]
        assert bodies[0][0] == 401
        assert max(seconds) < 4 * min(seconds)


async def test_logging_out_ends_this_session_and_everywhere_ends_all(gateway: Gateway, start: Start) -> None:
    user = await person(gateway)
    async with (
        start() as other,
        browser(gateway) as one,
        browser(gateway) as two,
        browser(other) as elsewhere,
    ):
        for each in (one, two, elsewhere):
            await each.log_in(user["name"])
            assert await each.status() == 200
        status, body, headers = await one.call("POST", "/api/v1/logout")
        assert (status, body) == (200, {"ended": 1})
        assert 'llmp_session=""' in headers["Set-Cookie"]
        assert [await each.status() for each in (one, two, elsewhere)] == [401, 200, 200]
        assert (await two.call("POST", "/api/v1/logout-everywhere"))[1] == {"ended": 2}
        assert await two.status() == 401
        await eventually(elsewhere, 401)


async def test_a_session_nobody_uses_ends_and_so_does_one_that_is_used_for_too_long(start: Start) -> None:
    async with start(session_idle_seconds=1.2, session_cap_seconds=3) as gateway, browser(gateway) as ada:
        user = await person(gateway)
        await ada.log_in(user["name"])
        for _ in range(4):
            await asyncio.sleep(0.5)
            assert await ada.status() == 200
        await asyncio.sleep(1.4)
        assert await ada.status() == 401
        await ada.log_in(user["name"])
        assert await ada.status() == 200
        await asyncio.sleep(1.6)
        assert await ada.status() == 401


async def test_what_is_taken_away_from_a_user_ends_the_sessions(gateway: Gateway) -> None:
    for change in ({"role": "viewer"}, {"disabled": True}, {"password": "another long password"}):
        user = await person(gateway)
        async with browser(gateway) as ada:
            await ada.log_in(user["name"])
            status, changed, _ = await gateway.call("PATCH", f"/api/v1/users/{user['user_id']}", json=change)
            assert status == 200
            assert changed == {
                **user,
                **{k: v for k, v in change.items() if k in user},
                "updated_at": changed["updated_at"],
            }
            assert await ada.status() == 401


async def test_a_person_changes_the_password_and_stays_here_alone(gateway: Gateway) -> None:
    user = await person(gateway)
    async with browser(gateway) as here, browser(gateway) as there:
        await here.log_in(user["name"])
        await there.log_in(user["name"])
        change = {"password": "wrong", "new_password": "yet another password"}
        assert await here.status("PUT", "/api/v1/me/password", json=change) == 400
        assert await here.status("PUT", "/api/v1/me/password", json={**change, "password": PASSWORD}) == 200
        assert [await here.status(), await there.status()] == [200, 401]
        assert (await there.log_in(user["name"], "yet another password"))[0] == 200


async def test_who_takes_a_role_away_while_the_password_changes_wins(gateway: Gateway) -> None:
    user = await person(gateway, role="admin")
    path, change = f"/api/v1/users/{user['user_id']}", {"password": PASSWORD, "new_password": "yet another password"}
    async with browser(gateway) as ada:
        await ada.log_in(user["name"])
        changing = asyncio.create_task(ada.status("PUT", "/api/v1/me/password", json=change))
        await asyncio.sleep(0.02)
        await gateway.call("PATCH", path, json={"role": "viewer"})
        await changing
    assert (await gateway.get(path))["role"] == "viewer"


async def test_a_password_that_is_replaced_while_somebody_logs_in_with_it_begins_no_session(
    gateway: Gateway, database: Database
) -> None:
    user = await person(gateway)
    async with database.connection() as connection:
        found = await store.find_password(connection, user["name"])
    assert found is not None
    await gateway.call("PATCH", f"/api/v1/users/{user['user_id']}", json={"password": "another long password"})
    async with database.transaction() as connection:
        assert await store.begin_session(connection, b"token", user["user_id"], found[1], 60) is None
        assert await store.replace_password(connection, user["user_id"], found[1], "a hash") is None
        assert not await store.renew_hash(connection, user["user_id"], found[1], "a hash")


async def test_a_session_that_ends_while_it_is_looked_up_is_not_remembered(
    gateway: Gateway, database: Database, peers: Peers
) -> None:
    user = await person(gateway)
    async with browser(gateway) as ada:
        token = token_of((await ada.log_in(user["name"]))[2])
    sessions = Sessions(database, peers.buses["registry"], idle_seconds=3600)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM sessions WHERE user_id = $1 FOR UPDATE", user["user_id"])
        looking_up = asyncio.create_task(sessions.find(token))
        await asyncio.sleep(0.1)
        sessions.forget(user["user_id"])
    assert await looking_up is not None
    async with database.transaction() as connection:
        await store.end_session(connection, digest(token))
    assert await sessions.find(token) is None


async def test_a_new_platform_has_a_first_administrator_whose_password_stays_changed(
    start: Start, database: Database
) -> None:
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM users")
    async with start(admin_password=PASSWORD) as gateway, start(admin_password=PASSWORD), browser(gateway) as admin:
        assert (await admin.log_in("admin"))[1]["user"]["role"] == "admin"
        change = {"password": PASSWORD, "new_password": "yet another password"}
        assert await admin.status("PUT", "/api/v1/me/password", json=change) == 200
    async with start(admin_password=PASSWORD) as gateway, browser(gateway) as admin:
        assert (await admin.log_in("admin"))[0] == 401
        assert (await admin.log_in("admin", "yet another password"))[0] == 200
        assert (await gateway.get("/api/v1/users"))["total"] == 1


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"headers": {"Sec-Fetch-Site": "same-site"}}, 403),
        ({"headers": {"Content-Type": "text/plain"}}, 400),
        ({"headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400),
    ],
    ids=str,
)
async def test_another_site_s_page_logs_nobody_in(options: dict[str, Any], refused: int, gateway: Gateway) -> None:
    user = await person(gateway)
    async with browser(gateway) as ada:
        data = orjson.dumps({"name": user["name"], "password": PASSWORD})
        status, _, headers = await ada.call("POST", "/api/v1/login", data=data, **options)
        assert status == refused
        assert "Set-Cookie" not in headers


async def test_users_are_listed_found_and_removed(gateway: Gateway) -> None:
    user = await person(gateway, role="viewer")
    path = f"/api/v1/users/{user['user_id']}"
    assert await gateway.get(path) == user
    page = await gateway.get("/api/v1/users?limit=100")
    assert user in page["items"]
    assert set(page) == {"items", "total", "limit", "offset", "has_more"}
    taken = {"name": user["name"].upper(), "password": PASSWORD}
    assert (await gateway.call("POST", "/api/v1/users", json=taken))[0] == 409
    async with browser(gateway) as ada:
        await ada.log_in(user["name"])
        assert (await gateway.call("DELETE", path))[1] == user
        assert await ada.status() == 401
    assert (await gateway.call("GET", path))[0] == 404


@pytest.mark.parametrize("fields", [{"password": "short"}, {"name": " a"}, {"name": ""}, {"role": "owner"}])
async def test_a_user_that_does_not_fit_is_refused(fields: dict[str, Any], gateway: Gateway) -> None:
    status, body, _ = await gateway.call("POST", "/api/v1/users", json={"name": "a", "password": PASSWORD, **fields})
    assert (status, body["error"]) == (400, "VALIDATION_ERROR")


async def test_a_key_has_no_session_to_end(gateway: Gateway) -> None:
    assert (await gateway.get("/api/v1/me"))["kind"] == "admin_key"
    assert (await gateway.call("POST", "/api/v1/logout"))[0] == 409
