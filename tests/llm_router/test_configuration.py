"""Configuration and engines over the bus."""

import pytest

from contracts.base import Empty, RefusalCode, Refused
from contracts.router import DEFAULT_MODEL, GET_CONFIG, UPDATE_CONFIG, Config, UpdateConfig
from llm_router.domain.engines import CONFIGURED, DeclaredEngine
from tests.llm_router.conftest import House, Open, as_role, soon
from tests.llm_router.upstream import Upstream, running


async def config(house: House) -> Config:
    return await house.bus.ask(GET_CONFIG, Empty())


async def update(house: House, request: UpdateConfig) -> None:
    assert (await house.bus.ask(UPDATE_CONFIG, request)).success


async def refused(house: House, request: UpdateConfig) -> Refused:
    with pytest.raises(Refused) as caught:
        await house.bus.ask(UPDATE_CONFIG, request)
    return caught.value


def pointing_at(upstream: Upstream, token: str | None = None) -> UpdateConfig:
    return UpdateConfig(provider_type="openai", model_name="hosted", api_base=upstream.url, auth_token=token)


class TestDefault:
    async def test_at_first_the_simulated_engine_answers_and_says_so(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        assert await config(house) == Config(provider_type="simulated", model_name="m", api_base=house.upstreams[0].url)
        assert (await house.ask(DEFAULT_MODEL)).simulated

    async def test_without_engines_the_platform_says_so(self, open_house: Open) -> None:
        house = await open_house(0)
        with pytest.raises(Refused) as caught:
            await config(house)
        assert caught.value.code is RefusalCode.UNAVAILABLE
        assert (await house.refusal(DEFAULT_MODEL)).code is RefusalCode.NOT_FOUND

    async def test_a_model_can_be_chosen_alone(self, open_house: Open) -> None:
        house = await open_house(2, provider="simulated")
        house.upstreams[1].models = [{"id": "n"}]
        await house.discovered("n")
        await update(house, UpdateConfig(model_name="n"))
        assert (await config(house)).api_base == house.upstreams[1].url
        assert (await house.ask(DEFAULT_MODEL)).model == "n"


class TestProvider:
    async def test_a_configured_provider_joins_the_engines_and_answers_by_default(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        async with running(models=[{"id": "hosted"}]) as hosted:
            async with as_role("admin"):
                await update(house, pointing_at(hosted, token="sk-secret"))
            assert await config(house) == Config(provider_type="openai", model_name="hosted", api_base=hosted.url)
            reply = await house.ask(DEFAULT_MODEL)
            assert (reply.engine, reply.model, reply.simulated) == (CONFIGURED, "hosted", False)
            assert hosted.headers[0]["Authorization"] == "Bearer sk-secret"
            engine = (await house.engines())[CONFIGURED]
            assert engine.has_token
            assert engine.status == "available"

    async def test_a_model_that_the_provider_does_not_list_is_asked_all_the_same(self, open_house: Open) -> None:
        house = await open_house()
        async with running() as hosted:
            hosted.broken_list = 404
            hosted.models = [{"id": "hosted"}]
            async with as_role("admin"):
                await update(house, pointing_at(hosted))
            assert (await house.ask("hosted")).engine == CONFIGURED

    async def test_a_token_is_encrypted_at_rest_and_never_returned(self, open_house: Open) -> None:
        house = await open_house()
        async with as_role("admin"):
            await update(house, pointing_at(house.upstreams[0], token="sk-secret"))
        stored = (await house.rows("SELECT token FROM engines WHERE name = $1", CONFIGURED))[0]["token"]
        assert stored
        assert b"sk-secret" not in stored
        assert "sk-secret" not in (await config(house)).model_dump_json()
        engines = await house.engines()
        assert "sk-secret" not in "".join(engine.model_dump_json() for engine in engines.values())
        assert "sk-secret" not in str([dict(row) for row in await house.rows("SELECT * FROM outbox")])

    async def test_without_a_key_no_token_is_stored_and_nothing_changes(self, open_house: Open) -> None:
        house = await open_house(secret_key=None)
        async with as_role("admin"):
            refusal = await refused(house, pointing_at(house.upstreams[0], token="sk-secret"))
        assert refusal.code is RefusalCode.INVALID
        assert refusal.metadata["errors"][0]["field"] == "auth_token"
        assert CONFIGURED not in await house.engines()

    async def test_the_address_of_a_declared_engine_makes_no_new_one(self, open_house: Open) -> None:
        house = await open_house(2, provider="simulated")
        await update(house, UpdateConfig(api_base=house.upstreams[1].url))
        assert (await config(house)).api_base == house.upstreams[1].url
        assert CONFIGURED not in await house.engines()

    async def test_every_replica_learns_of_it(self, open_house: Open) -> None:
        house = await open_house(replicas=3)
        async with running(models=[{"id": "hosted"}]) as hosted:
            async with as_role("admin"):
                await update(house, pointing_at(hosted))

            async def all_know() -> bool:
                answers = [await house.engines() for _ in range(30)]
                return all(CONFIGURED in engines for engines in answers)

            await soon(all_know)


class TestAddresses:
    @pytest.mark.parametrize("role", ["member", "viewer"])
    @pytest.mark.parametrize(
        "api_base", ["http://169.254.169.254/latest", "http://10.0.0.1/v1", "http://localhost:1/v1"]
    )
    async def test_only_an_administrator_points_the_platform_at_a_private_address(
        self, open_house: Open, role: str, api_base: str
    ) -> None:
        house = await open_house()
        async with as_role(role):  # type: ignore[arg-type]
            refusal = await refused(house, UpdateConfig(api_base=api_base))
        assert refusal.code is RefusalCode.INVALID
        assert refusal.metadata["errors"][0]["field"] == "api_base"
        assert CONFIGURED not in await house.engines()

    async def test_somebody_unknown_is_no_administrator(self, open_house: Open) -> None:
        house = await open_house()
        assert (await refused(house, UpdateConfig(api_base="http://10.0.0.1/v1"))).code is RefusalCode.INVALID

    async def test_a_public_address_is_open_to_all_but_guarded(self, open_house: Open) -> None:
        house = await open_house(engine_connect_timeout=0.2, engine_check_timeout=0.2)
        async with as_role("member"):
            await update(house, UpdateConfig(api_base="https://1.1.1.1/v1", model_name="x"))
        row = (await house.rows("SELECT guarded FROM engines WHERE name = $1", CONFIGURED))[0]
        assert row["guarded"]


class TestDeclaredEngines:
    async def test_they_are_listed_with_their_state(self, open_house: Open) -> None:
        away = DeclaredEngine(name="away", provider_type="vllm", api_base="http://127.0.0.1:9", port=9)
        house = await open_house(1, declared=[away])
        engines = await house.engines()
        assert engines["e0"].status == "available"
        assert engines["e0"].models == ["m"]
        assert engines["away"].status == "unavailable"
        assert engines["away"].api_base == "http://127.0.0.1:9/v1"
        assert engines["away"].port == 9
        assert not engines["away"].has_token
        assert len({engine.id for engine in engines.values()}) == 2

    async def test_a_second_start_keeps_their_numbers_and_forgets_those_that_are_gone(self, open_house: Open) -> None:
        first = await open_house(2)
        numbers = {name: engine.id for name, engine in (await first.engines()).items()}
        rows = {row["name"]: row["id"] for row in await first.rows("SELECT id, name FROM engines")}
        assert rows == numbers
        await open_house(1)
        rows = {row["name"]: row["id"] for row in await first.rows("SELECT id, name FROM engines")}
        assert rows == {"e0": numbers["e0"]}

    async def test_replicas_that_start_at_once_declare_them_once(self, open_house: Open) -> None:
        house = await open_house(3, replicas=3)
        assert len(await house.rows("SELECT name FROM engines")) == 3
