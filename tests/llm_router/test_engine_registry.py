"""Engines that are registered, changed and removed while the router runs."""

import asyncio
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

from contracts.base import RefusalCode, Refused
from contracts.engines import (
    CREATE_ENGINE,
    DELETE_ENGINE,
    GET_ENGINE,
    LIST_ENGINES,
    UPDATE_ENGINE,
    CreateEngine,
    Engine,
    GetEngine,
    ListEngines,
    UpdateEngine,
)
from contracts.router import UPDATE_CONFIG, Prices, UpdateConfig
from llm_router.domain.engines import CONFIGURED, DeclaredEngine
from llm_router.engine.tokens import TokenVault
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, as_role, soon
from tests.llm_router.upstream import Upstream, running


async def register(house: House, upstream: Upstream, name: str = "new", **options: object) -> Engine:
    request = CreateEngine.model_validate(
        {"name": name, "provider_type": "openai", "api_base": upstream.url, **options}
    )
    async with as_role("admin"):
        return await house.bus.ask(CREATE_ENGINE, request)


async def update(house: House, engine: Engine, **changes: object) -> Engine:
    async with as_role("admin"):
        return await house.bus.ask(UPDATE_ENGINE, UpdateEngine.model_validate({"engine_id": engine.id, **changes}))


def _declared(engine: Engine) -> DeclaredEngine:
    return DeclaredEngine(name=engine.name, provider_type=engine.provider_type, api_base=engine.api_base)


async def remove(house: House, number: int) -> None:
    async with as_role("admin"):
        await house.bus.ask(DELETE_ENGINE, GetEngine(engine_id=number))


class TestRegistering:
    async def test_a_registered_engine_answers_at_once_and_outlives_a_restart(self, open_house: Open) -> None:
        house = await open_house()
        async with running(models=[{"id": "fresh"}]) as upstream:
            engine = await register(house, upstream, auth_token="sk-1", priority=3, weight=2.5, timeout=9)
            assert (engine.status, engine.models, engine.source) == ("available", ["fresh"], "registered")
            assert (engine.has_token, engine.priority, engine.weight, engine.timeout) == (True, 3, 2.5, 9.0)
            assert (await house.ask("fresh")).engine == "new"
            assert upstream.headers[-1]["Authorization"] == "Bearer sk-1"
            again = await open_house()
            assert (await again.bus.ask(GET_ENGINE, GetEngine(engine_id=engine.id))).name == "new"

    async def test_every_replica_learns_of_it_and_of_its_end(self, open_house: Open) -> None:
        house = await open_house(replicas=3)
        async with running(models=[{"id": "fresh"}]) as upstream:
            engine = await register(house, upstream)

            async def answered() -> int:
                answers = await asyncio.gather(*(house.ask("fresh") for _ in range(20)), return_exceptions=True)
                return len(answers) - sum(isinstance(answer, Refused) for answer in answers)

            async def by_all() -> bool:
                return await answered() == 20

            async def by_none() -> bool:
                return await answered() == 0

            await soon(by_all)
            await remove(house, engine.id)
            await soon(by_none)

    async def test_a_model_that_it_does_not_list_is_served_all_the_same(self, open_house: Open) -> None:
        house = await open_house()
        async with running() as upstream:
            upstream.broken_list = 404
            upstream.models = [{"id": "hidden"}]
            engine = await register(house, upstream, models=["hidden"])
            assert engine.models == ["hidden"]
            assert (await house.ask("hidden")).engine == "new"

    async def test_its_token_is_encrypted_at_rest_and_never_returned(self, open_house: Open) -> None:
        house = await open_house()
        engine = await register(house, house.upstreams[0], auth_token="sk-secret")
        assert "sk-secret" not in engine.model_dump_json()
        assert b"sk-secret" not in (await house.rows("SELECT token FROM engines WHERE id = $1", engine.id))[0]["token"]

    async def test_the_key_that_encrypts_tokens_is_replaced_while_routers_run(self, open_house: Open) -> None:
        old, new = (Fernet.generate_key().decode() for _ in range(2))
        house = await open_house(0, secret_key=SecretStr(f"{old},{new}"))
        async with running() as upstream:
            engine = await register(house, upstream, auth_token="sk-secret")
            await open_house(0, secret_key=SecretStr(f"{new},{old}"))
            (row,) = await house.rows("SELECT token FROM engines WHERE id = $1", engine.id)
            assert TokenVault(SecretStr(new)).open(row["token"], "new") == "sk-secret"

    async def test_a_token_is_sent_as_it_was_meant_and_never_breaks_a_header(self, open_house: Open) -> None:
        house = await open_house(0)
        async with running() as upstream:
            await register(house, upstream, auth_token=" sk-pasted\n")
            await house.ask()
            assert upstream.headers[0]["Authorization"] == "Bearer sk-pasted"
        with pytest.raises(ValidationError):
            CreateEngine(name="new", provider_type="openai", auth_token="sk\r\nX-Role: admin")

    async def test_two_engines_never_have_one_name(self, open_house: Open) -> None:
        house = await open_house()
        with pytest.raises(Refused) as caught:
            await register(house, house.upstreams[0], name="e0")
        assert caught.value.code is RefusalCode.CONFLICT
        assert caught.value.metadata["errors"][0]["field"] == "name"

    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"name": CONFIGURED}, "name"),
            ({"api_base": "ftp://x"}, "api_base"),
            ({"api_base": None, "provider_type": "vllm"}, "api_base"),
        ],
    )
    async def test_what_cannot_work_is_refused_by_field(
        self, open_house: Open, options: dict[str, object], field: str
    ) -> None:
        house = await open_house()
        with pytest.raises(Refused) as caught:
            await register(house, house.upstreams[0], **options)
        assert caught.value.code is RefusalCode.INVALID
        assert caught.value.metadata["errors"][0]["field"] == field

    async def test_only_an_administrator_may(self, open_house: Open) -> None:
        house = await open_house()
        request = CreateEngine(name="new", provider_type="openai", api_base=house.upstreams[0].url)
        for asking in (as_role("member"), as_role("viewer")):
            async with asking:
                with pytest.raises(Refused) as caught:
                    await house.bus.ask(CREATE_ENGINE, request)
            assert caught.value.code is RefusalCode.FORBIDDEN

    async def test_they_are_listed_page_by_page(self, open_house: Open) -> None:
        house = await open_house(2)
        await register(house, house.upstreams[0])
        page = await house.bus.ask(LIST_ENGINES, ListEngines(limit=2, offset=1))
        assert ([engine.name for engine in page.items], page.total, page.has_more) == (["e1", "new"], 3, False)
        assert [engine.source for engine in page.items] == ["environment", "registered"]


class TestChanging:
    async def test_a_disabled_engine_answers_nothing_until_it_is_enabled(self, open_house: Open) -> None:
        house = await open_house()
        async with running(models=[{"id": "fresh"}]) as upstream:
            engine = await register(house, upstream)
            assert (await update(house, engine, enabled=False)).status == "disabled"
            assert (await house.refusal("fresh")).code is RefusalCode.NOT_FOUND
            assert (await update(house, engine, enabled=True)).status == "available"
            assert (await house.ask("fresh")).engine == "new"

    async def test_only_the_given_fields_change(self, open_house: Open) -> None:
        house = await open_house()
        engine = await register(house, house.upstreams[0], auth_token="sk-1", timeout=5, concurrency=7)
        prices = {"*": Prices(input=Decimal("0.5"), output=Decimal("1.5"))}
        changed = await update(house, engine, name="renamed", prices=prices)
        # When it was last used is not a setting: earlier interactions of an engine of that name may come in late.
        kept = engine.model_copy(update={"name": "renamed", "prices": prices, "last_used": changed.last_used})
        assert changed == kept
        assert (await update(house, engine, timeout=0)).timeout is None

    async def test_a_token_never_follows_to_another_host(self, open_house: Open) -> None:
        house = await open_house()
        async with running() as other:
            engine = await register(house, house.upstreams[0], auth_token="sk-1")
            assert (await update(house, engine, priority=1)).has_token
            assert not (await update(house, engine, api_base=other.url)).has_token
            assert (await update(house, engine, auth_token="sk-2")).has_token
            assert not (await update(house, engine, auth_token="")).has_token

    async def test_an_engine_that_the_environment_declares_can_be_disabled_for_good(self, open_house: Open) -> None:
        house = await open_house(2, provider="simulated")
        declared = (await house.engines())["e0"]
        prices = {"*": Prices(input=Decimal(1), output=Decimal(2))}
        changed = await update(house, declared, enabled=False, weight=2, prices=prices, auth_token="sk-1")
        assert (changed.status, changed.weight, changed.prices, changed.has_token) == ("disabled", 2, prices, True)
        assert {(await house.ask()).engine for _ in range(3)} == {"e1"}
        house = await open_house(0, declared=[_declared(engine) for engine in (await house.engines()).values()])
        assert (await house.engines())["e0"].status == "disabled"
        assert (await update(house, declared, enabled=True)).status == "available"

    async def test_what_others_said_of_an_engine_is_not_changed_here(self, open_house: Open) -> None:
        house = await open_house()
        async with as_role("admin"):
            await house.bus.ask(UPDATE_CONFIG, UpdateConfig(api_base="http://127.0.0.1:9/v1", model_name="x"))
        engines = await house.engines()
        assert engines[CONFIGURED].source == "configuration"
        for name in ("e0", CONFIGURED):
            with pytest.raises(Refused) as caught:
                await update(house, engines[name], priority=1)
            assert caught.value.code is RefusalCode.CONFLICT
            with pytest.raises(Refused) as caught:
                await remove(house, engines[name].id)
            assert caught.value.code is RefusalCode.CONFLICT


class TestRemoving:
    async def test_what_a_removed_engine_is_working_on_ends_normally(self, open_house: Open) -> None:
        house = await open_house()
        async with running(models=[{"id": "fresh"}]) as upstream:
            engine = await register(house, upstream)
            upstream.faults.append(faults.hang)
            asking = asyncio.create_task(house.ask("fresh"))
            await upstream.reached.wait()
            await remove(house, engine.id)
            assert (await house.refusal("fresh")).code is RefusalCode.NOT_FOUND
            upstream.let_go.set()
            assert (await asking).content == "One two three"

    async def test_a_removed_engine_is_not_the_default_any_more(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        async with running(models=[{"id": "fresh"}]) as upstream:
            engine = await register(house, upstream)
            async with as_role("admin"):
                await house.bus.ask(UPDATE_CONFIG, UpdateConfig(api_base=upstream.url))
            assert (await house.ask("default")).engine == "new"
            await remove(house, engine.id)
            assert (await house.ask("default")).engine == "e0"

    async def test_one_that_is_not_there_is_told_as_such(self, open_house: Open) -> None:
        house = await open_house()
        with pytest.raises(Refused) as caught:
            await remove(house, 2_000_000_000)
        assert caught.value.code is RefusalCode.NOT_FOUND
