"""Rate limits at the edge (specs/README.md, point 4): counted by caller, exact over processes, told in every answer."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any, TypeVar

import pytest
from multidict import CIMultiDict

from contracts import router
from contracts.router import ServedModels
from contracts.router import TestResult as Result
from gateway.limits import Proxies
from tests.gateway.conftest import Gateway, Start
from tests.gateway.peers import Peers
from tests.gateway.test_people import PASSWORD, browser, person

T = TypeVar("T")


@pytest.fixture(autouse=True)
async def in_one_minute() -> None:
    """A window that ends within a test would start its count anew."""
    if (left := 60 - time.time() % 60) < 8:
        await asyncio.sleep(left)


async def key_of(gateway: Gateway, **fields: Any) -> str:
    key: str = (await gateway.post("/api/v1/keys", {"name": "limited", **fields}, status=201))["key"]
    return key


async def statuses(gateway: Gateway, count: int, **options: Any) -> list[int]:
    answers = await asyncio.gather(*(gateway.call("GET", "/api/v1/jobs", **options) for _ in range(count)))
    return [status for status, _, _ in answers]


async def test_every_answer_says_how_its_caller_stands(gateway: Gateway, peers: Peers) -> None:
    key = await key_of(gateway, requests_per_minute=50)
    for remaining in (49, 48):
        _, _, headers = await gateway.call("GET", "/api/v1/jobs", key=key)
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("50", str(remaining))
        assert 0 < int(headers["X-RateLimit-Reset"]) - time.time() <= 61
        assert int(headers["X-RateLimit-Reset"]) % 60 == 0


async def test_openai_s_clients_are_told_in_openai_s_words_too(gateway: Gateway, peers: Peers) -> None:
    peers.answer(router.LIST_SERVED_MODELS, ServedModels(models=[]))
    _, _, headers = await gateway.call("GET", "/v1/models", key=await key_of(gateway, requests_per_minute=50))
    told = {name: headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")}
    assert (
        (told["limit"], told["remaining"])
        == ("50", "49")
        == (
            headers["X-RateLimit-Limit"],
            headers["X-RateLimit-Remaining"],
        )
    )
    assert 1 <= int(told["reset"].removesuffix("s")) <= 60


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/api/v1/jobs", lambda body: body["error"] == "RATE_LIMITED"),
        ("/v1/models", lambda body: body["error"]["code"] == "rate_limit_exceeded"),
        ("/api/v1/tasks/nowhere", lambda body: "limit" in body["detail"]),
        ("/api/nowhere", lambda body: "limit" in body["error"]),
    ],
)
async def test_a_reached_limit_is_refused_in_the_form_of_the_family(
    path: str, where: Any, gateway: Gateway, peers: Peers
) -> None:
    key = await key_of(gateway, requests_per_minute=3)
    assert await statuses(gateway, 3, key=key) == [200] * 3
    status, body, headers = await gateway.call("GET", path, key=key)
    assert status == 429
    assert where(body)
    assert 0 < int(headers["Retry-After"]) <= 60
    assert headers["X-RateLimit-Remaining"] == "0"


async def within_a_minute(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` finds, tried again where a slow machine let a window end within it."""
    while True:
        minute = time.time() // 60
        found = await attempt()
        if time.time() // 60 == minute:
            return found


async def test_three_gateways_admit_exactly_one_limit(gateway: Gateway, start: Start, peers: Peers) -> None:
    async with AsyncExitStack() as stack:
        gateways = [gateway, *[await stack.enter_async_context(start()) for _ in range(2)]]

        async def all_at_once() -> list[int]:
            key = await key_of(gateway, requests_per_minute=200)
            await asyncio.sleep(0.5)
            answers = await asyncio.gather(*(statuses(each, 90, key=key) for each in gateways))
            return sorted(status for one in answers for status in one)

        assert await within_a_minute(all_at_once) == [200] * 200 + [429] * 70


async def test_what_one_gateway_held_is_admitted_by_another(gateway: Gateway, start: Start, peers: Peers) -> None:
    async with start() as other:

        async def one_after_the_other() -> tuple[list[int], int]:
            key = await key_of(gateway, requests_per_minute=80)
            await asyncio.sleep(0.5)
            return await statuses(other, 1, key=key), (await statuses(gateway, 100, key=key)).count(200)

        assert await within_a_minute(one_after_the_other) == ([200], 79)


async def test_without_a_valid_key_requests_are_counted_by_address(start: Start, peers: Peers) -> None:
    address = {"X-Forwarded-For": f"203.0.113.{uuid.uuid4().int % 250}"}
    async with start(address_requests_per_minute=5, trusted_proxies=["127.0.0.0/8"]) as gateway:
        got = await statuses(gateway, 3, key=None, headers=address)
        got += await statuses(gateway, 3, key="llmp_guess_guess", headers=address)
        assert sorted(got) == [401] * 5 + [429]
        assert (await gateway.call("GET", "/health", key=None, headers=address))[0] == 429
        assert (await gateway.call("GET", "/nowhere", key=None, headers=address))[0] == 429
        assert (await gateway.call("GET", "/ready", key=None, headers=address))[0] == 200
        assert (await statuses(gateway, 1, headers=address)) == [200]
        assert (await gateway.call("GET", "/health", key=None, headers={"X-Forwarded-For": "198.51.100.1"}))[0] == 200


async def test_reads_under_the_llm_api_are_not_limited(gateway: Gateway, peers: Peers) -> None:
    key = await key_of(gateway, requests_per_minute=1)
    for _ in range(3):
        status, _, headers = await gateway.call("GET", "/api/v1/llm/config", key=key)
        assert status == 200
        assert "X-RateLimit-Limit" not in headers


async def test_tests_of_prompts_have_a_limit_of_their_own(start: Start, peers: Peers) -> None:
    peers.answer(router.TEST_PROMPT, Result(result="a", model="m", duration=0.1))
    async with start(tests_per_minute=2) as gateway:
        key = await key_of(gateway)
        for remaining in ("1", "0"):
            status, _, headers = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "a"}, key=key)
            assert (status, headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == (200, "2", remaining)
        status, body, _ = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "a"}, key=key)
        assert (status, body["error"]["type"], body["error"]["temporary"]) == (429, "rate_limited", True)
        assert await statuses(gateway, 1, key=key) == [200]


async def test_a_limit_can_be_taken_away(start: Start, peers: Peers) -> None:
    async with start(user_requests_per_minute=0) as gateway:
        status, _, headers = await gateway.call("GET", "/api/v1/jobs")
        assert (status, "X-RateLimit-Limit" in headers) == (200, False)


class Asked:
    """As much of a request as tells where it comes from."""

    def __init__(self, remote: str, forwarded: str = "") -> None:
        self.remote = remote
        self.headers = CIMultiDict({"X-Forwarded-For": forwarded} if forwarded else {})


@pytest.mark.parametrize(
    ("remote", "forwarded", "origin"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
    ],
)
def test_only_a_trusted_proxy_is_believed(remote: str, forwarded: str, origin: str) -> None:
    assert Proxies([ip_network("10.0.0.0/8")]).origin(Asked(remote, forwarded)) == origin  # type: ignore[arg-type]


async def test_guesses_are_limited_and_shut_out_nobody_who_comes_from_elsewhere(start: Start) -> None:
    async with start(logins_per_minute=3, trusted_proxies=["127.0.0.0/8"]) as gateway, browser(gateway) as ada:
        user = await person(gateway)

        async def log_in(address: str, name: str, password: str = "a guess") -> int:  # noqa: S107 - a wrong one
            headers = {"X-Forwarded-For": address}
            credentials = {"name": name, "password": password}
            return await ada.status("POST", "/api/v1/login", json=credentials, headers=headers)

        here, elsewhere = (f"2001:db8:{uuid.uuid4().hex[:4]}:{n}::1" for n in (1, 2))
        assert [await log_in(here, user["name"]) for _ in range(4)] == [401, 401, 401, 429]
        assert await log_in(elsewhere, user["name"], PASSWORD) == 200
        others = [await log_in(here, f"nobody {uuid.uuid4().hex}") for _ in range(7)]
        assert others == [401] * 6 + [429]
