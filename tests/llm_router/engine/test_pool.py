"""Who gets which engine, who waits, and how engines come and go."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from contracts.base import RefusalCode
from contracts.router import ProviderType
from llm_router.domain.catalogue import Catalogue, Route
from llm_router.domain.engines import EngineSpec, ModelCard
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.trained import TrainedModel
from llm_router.engine.openai import OpenAIEngine
from llm_router.engine.pool import EnginePool, Lease, PoolLimits
from llm_router.engine.protocol import Timeouts
from tests.llm_router.conftest import PATIENCE, until
from tests.llm_router.upstream import Upstream, running

LIMITS = PoolLimits(
    queue=2, queue_seconds=1.0, patience=0.6, check_interval=0.2, breaker_failures=3, breaker_cooldown=0.3
)
TIMEOUTS = Timeouts(connect=0.3, silence=0.3, check=0.3, load=0.3)


@dataclass
class House:
    """A pool over engines `e0`, `e1` and so on."""

    pool: EnginePool
    catalogue: Catalogue
    upstreams: Sequence[Upstream]

    def route(self, name: str = "m") -> Route:
        route = self.catalogue.resolve(name)
        assert route is not None
        return route

    async def lease(self, name: str = "m", timeout: float = 1.0) -> Lease:
        return await self.pool.lease(self.route(name), timeout=timeout)

    async def refusal(self, name: str = "m", timeout: float = 1.0) -> EngineFailure:
        with pytest.raises(EngineFailure) as caught:
            await self.lease(name, timeout)
        return caught.value


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def opened(
            engines: int = 1, *, concurrency: int = 2, provider: ProviderType = "openai", limits: PoolLimits = LIMITS
        ) -> House:
            upstreams = [await stack.enter_async_context(running()) for _ in range(engines)]
            catalogue = Catalogue()
            pool = EnginePool(catalogue, lambda spec: OpenAIEngine(spec, TIMEOUTS), limits)
            stack.push_async_callback(pool.close)
            await pool.apply(
                [
                    EngineSpec(i, f"e{i}", provider, upstream.url, concurrency=concurrency)
                    for i, upstream in enumerate(upstreams)
                ]
            )
            watching = asyncio.create_task(pool.run())

            async def stop() -> None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

            stack.push_async_callback(stop)
            return House(pool, catalogue, upstreams)

        yield opened


class TestLeases:
    async def test_requests_spread_over_engines(self, open_house: Open) -> None:
        house = await open_house(2)
        leases = [await house.lease() for _ in range(4)]
        assert sorted(lease.name for lease in leases) == ["e0", "e0", "e1", "e1"]

    async def test_idle_engines_take_turns(self, open_house: Open) -> None:
        house = await open_house(2)
        names = []
        for _ in range(4):
            lease = await house.lease()
            names.append(lease.name)
            lease.release()
        assert sorted(names) == ["e0", "e0", "e1", "e1"]

    async def test_no_engine_has_more_than_it_may(self, open_house: Open) -> None:
        house = await open_house(concurrency=2)
        await house.lease()
        await house.lease()
        refusal = await house.refusal(timeout=0.05)
        assert refusal.kind is FailureKind.OVERLOADED
        assert refusal.metadata["retry_after"] == 1.0
        assert house.pool.members()[0].outstanding == 2

    async def test_who_waits_gets_what_becomes_free_first_come_first_served(self, open_house: Open) -> None:
        house = await open_house(concurrency=1)
        held = await house.lease()
        first, second = asyncio.create_task(house.lease()), asyncio.create_task(house.lease())
        await asyncio.sleep(0)
        held.release()
        lease = await first
        assert not second.done()
        lease.release()
        (await second).release()
        assert house.pool.members()[0].outstanding == 0

    async def test_a_full_line_turns_away_at_once(self, open_house: Open) -> None:
        house = await open_house(concurrency=1)
        await house.lease()
        waiting = [asyncio.create_task(house.lease()) for _ in range(2)]
        await asyncio.sleep(0)
        refusal = await house.refusal()
        assert refusal.kind is FailureKind.OVERLOADED
        assert "Too many" in refusal.message
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def test_who_leaves_the_line_keeps_no_place_at_an_engine(self, open_house: Open) -> None:
        house = await open_house(concurrency=1)
        held = await house.lease()
        leaving = asyncio.create_task(house.lease())
        await asyncio.sleep(0)
        # Free and gone in the same moment: the lease has been given when the caller is cancelled.
        held.release()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        (await house.lease(timeout=0.05)).release()
        assert house.pool.members()[0].outstanding == 0

    async def test_a_lease_is_released_once(self, open_house: Open) -> None:
        house = await open_house()
        lease = await house.lease()
        lease.release()
        lease.release()
        assert house.pool.members()[0].outstanding == 0

    async def test_a_model_of_another_engine_does_not_wait_in_the_same_line(self, open_house: Open) -> None:
        house = await open_house(2, concurrency=1)
        house.upstreams[1].models = [{"id": "n"}]
        await until(lambda: house.catalogue.resolve("n") is not None)
        await house.lease("m")
        waiting = asyncio.create_task(house.lease("m"))
        await asyncio.sleep(0)
        lease = await house.lease("n", timeout=0.05)
        lease.release()
        assert not waiting.done()
        waiting.cancel()

    async def test_an_avoided_engine_is_taken_only_if_no_other_can(self, open_house: Open) -> None:
        house = await open_house(2, concurrency=1)
        other = await house.pool.lease(house.route(), avoid={"e0"}, timeout=1)
        assert other.name == "e1"
        assert (await house.pool.lease(house.route(), avoid={"e0"}, timeout=1)).name == "e0"


class TestAdapters:
    async def test_the_engine_that_holds_the_adapter_is_preferred(self, open_house: Open) -> None:
        house = await open_house(2, provider="vllm")
        model = TrainedModel("model_1", "helper", "m", datetime.now(UTC), "s3://a/b")
        house.catalogue.put_trained(model)
        house.catalogue.adapter_loaded("e1", model)
        leases = [await house.lease("helper") for _ in range(2)]
        assert [lease.name for lease in leases] == ["e1", "e1"]
        assert house.pool.best(house.route("helper")) is house.pool.members()[1]

    async def test_another_engine_takes_over_when_the_holder_is_down(self, open_house: Open) -> None:
        house = await open_house(2, provider="vllm")
        model = TrainedModel("model_1", "helper", "m", datetime.now(UTC), "s3://a/b")
        house.catalogue.put_trained(model)
        house.catalogue.adapter_loaded("e1", model)
        await house.upstreams[1].stop()
        await until(lambda: not house.pool.is_up("e1"))
        assert (await house.lease("helper")).name == "e0"


class TestHealth:
    async def test_models_are_discovered(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].models.append({"id": "new"})
        assert house.catalogue.resolve("new") is None
        await until(lambda: house.catalogue.resolve("new") is not None)

    async def test_an_unknown_name_is_looked_for_at_once_but_not_at_every_call(self, open_house: Open) -> None:
        house = await open_house(limits=replace(LIMITS, check_interval=60))
        house.upstreams[0].models = [{"id": "new"}]
        await asyncio.gather(*(house.pool.refresh() for _ in range(5)))
        assert house.catalogue.resolve("new") is not None
        house.upstreams[0].models = [{"id": "newer"}]
        await house.pool.refresh()
        assert house.catalogue.resolve("newer") is None

    async def test_a_dead_engine_is_told_of_and_its_models_stay_known(self, open_house: Open) -> None:
        house = await open_house()
        await house.upstreams[0].stop()
        await until(lambda: not house.pool.is_up("e0"))
        refusal = await house.refusal()
        assert refusal.code is RefusalCode.ENGINE_UNAVAILABLE
        assert refusal.kind is FailureKind.CONNECTION
        assert house.catalogue.resolve("m") is not None

    async def test_a_request_waits_for_an_engine_that_just_died(self, open_house: Open) -> None:
        house = await open_house(limits=replace(LIMITS, patience=PATIENCE))
        upstream = house.upstreams[0]
        await upstream.stop()
        house.pool.suspect(house.pool.members()[0])
        waiting = asyncio.create_task(house.lease(timeout=PATIENCE))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await upstream.start(upstream.port)
        assert (await waiting).name == "e0"

    async def test_a_suspect_that_is_well_comes_back_within_moments(self, open_house: Open) -> None:
        house = await open_house(limits=replace(LIMITS, check_interval=60, patience=PATIENCE))
        house.pool.suspect(house.pool.members()[0])
        (await house.lease(timeout=PATIENCE)).release()

    async def test_an_engine_that_answers_but_lists_nothing_is_up(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].broken_list = 401
        await asyncio.sleep(0.3)
        assert house.pool.is_up("e0")


class TestBreaker:
    async def fail(self, house: House, times: int) -> None:
        for _ in range(times):
            lease = await house.lease()
            lease.failed(EngineFailure(FailureKind.ENGINE_ERROR, "boom"))
            lease.release()

    async def test_an_engine_that_fails_again_and_again_is_left_alone_for_a_while(self, open_house: Open) -> None:
        # No health check comes to wake who waits.
        limits = replace(LIMITS, breaker_cooldown=1.0, patience=PATIENCE, check_interval=600)
        house = await open_house(2, limits=limits)
        await self.fail(house, 6)
        lease = await house.lease(timeout=PATIENCE)
        assert time.monotonic() >= min(member.breaker.open_until for member in house.pool.members())
        lease.succeeded()
        lease.release()

    async def test_a_trial_that_succeeds_brings_it_back(self, open_house: Open) -> None:
        house = await open_house()
        await self.fail(house, 3)
        await asyncio.sleep(0.35)
        trial = await house.lease()
        waiting = asyncio.create_task(house.lease())
        await asyncio.sleep(0)
        assert not waiting.done()
        trial.succeeded()
        trial.release()
        (await waiting).release()

    async def test_a_caller_who_asks_nonsense_does_not_break_an_engine(self, open_house: Open) -> None:
        house = await open_house()
        for _ in range(10):
            lease = await house.lease()
            lease.failed(EngineFailure(FailureKind.INVALID_REQUEST, "no"))
            lease.release()
        assert not house.pool.members()[0].breaker.is_open


class TestMembers:
    async def test_an_engine_that_is_unchanged_is_kept_with_its_state(self, open_house: Open) -> None:
        house = await open_house()
        before = house.pool.members()[0]
        used = datetime(2026, 1, 1, tzinfo=UTC)
        await house.pool.apply([replace(before.spec, last_used=used)])
        assert house.pool.members()[0] is before
        assert before.last_used == used

    async def test_an_engine_that_changed_is_replaced_once_its_requests_have_ended(self, open_house: Open) -> None:
        house = await open_house()
        before = house.pool.members()[0]
        lease = await house.lease()
        await house.pool.apply([replace(before.spec, token="sk-1")])
        assert house.pool.members()[0] is not before
        assert house.pool.is_up("e0")
        # The connection pool of the old one still serves the request that it has.
        await lease.engine.models()
        lease.release()

    async def test_an_engine_that_is_removed_takes_its_models_along(self, open_house: Open) -> None:
        house = await open_house()
        assert REGISTRY.get_sample_value("router_engine_up", {"engine": "e0"}) == 1
        await house.pool.apply([])
        assert house.catalogue.resolve("m") is None
        assert REGISTRY.get_sample_value("router_engine_up", {"engine": "e0"}) is None

    async def test_remembered_models_stand_until_the_engine_is_back(self, open_house: Open) -> None:
        house = await open_house()
        spec = EngineSpec(9, "away", "openai", "http://127.0.0.1:9/v1")
        await house.pool.apply([spec], [("away", ModelCard("remembered", 8)), ("other", ModelCard("x"))])
        assert house.catalogue.resolve("x") is None
        refusal = await house.refusal("remembered")
        assert refusal.code is RefusalCode.ENGINE_UNAVAILABLE
