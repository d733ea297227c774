"""Health tells each part's state in a bounded time; readiness tells whether this gateway can take requests."""

import asyncio
import time

import pytest

from contracts import orchestrator, registry
from contracts.registry import ListModels, ModelPage
from tests.gateway.conftest import Gateway
from tests.gateway.peers import Peers

PARTS = {"api", "nats", "postgres", "object-store", "registry", "orchestrator", "llm-router"}


@pytest.mark.parametrize("path", ["/health", "/api/v1/health"])
async def test_a_platform_that_works_is_healthy(path: str, gateway: Gateway) -> None:
    assert await gateway.get(path, key=None) == {
        "status": "healthy",
        "version": "1.0.0",
        "services": dict.fromkeys(PARTS, "healthy"),
    }


async def test_a_part_that_is_away_is_named(gateway: Gateway, peers: Peers) -> None:
    await peers.buses.pop("orchestrator").close()
    health = await gateway.get("/health", key=None)
    assert health["status"] == "degraded"
    assert {name for name, state in health["services"].items() if state == "unhealthy"} == {"orchestrator"}


async def test_a_part_that_does_not_answer_is_not_waited_for(gateway: Gateway, peers: Peers) -> None:
    async def never(_: ListModels) -> ModelPage:
        await asyncio.sleep(30)
        raise AssertionError

    peers.answer(registry.LIST_MODELS, never)
    started = time.monotonic()
    health = await gateway.get("/health", key=None)
    assert time.monotonic() - started < 4
    assert health["services"]["registry"] == "unhealthy"


async def test_many_who_ask_at_once_are_one_question(gateway: Gateway, peers: Peers) -> None:
    await asyncio.gather(*(gateway.get("/health", key=None) for _ in range(20)))
    assert sum(subject == orchestrator.LIST_JOBS.subject for subject, *_ in peers.heard) == 1


async def test_a_gateway_that_can_take_requests_is_ready(gateway: Gateway) -> None:
    assert await gateway.get("/ready", key=None) == {"status": "ready", "checks": {"postgres": "ok", "nats": "ok"}}


async def test_what_is_wrong_with_a_part_stays_inside(gateway: Gateway) -> None:
    async def down() -> None:
        raise ConnectionError("postgresql://gateway:hunter2@10.0.0.5")

    gateway.service.add_check("postgres", down)
    status, body, _ = await gateway.call("GET", "/ready", key=None)
    assert status == 503
    assert body == {"status": "not ready", "checks": {"postgres": "unavailable", "nats": "ok"}}
