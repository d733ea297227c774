"""LLM instances: engines that a port names, probed on both APIs, and asked for by their port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts import instances as contract
from contracts.base import Empty, RefusalCode, Refused
from contracts.instances import (
    CreateInstance,
    Instance,
    InstanceConfig,
    OnPort,
    UpdateInstance,
    model_at,
    port_of,
)
from contracts.router import CHAT_COMPLETE, TEXT_COMPLETE, TextCompletion
from engines.server import listening
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings
from llm_router.domain.engines import DeclaredEngine
from tests.llm_router.conftest import House, Open, as_role, chat
from tests.llm_router.kobold import kobold_running

NO_PORT = 1
"""Nobody listens there."""


@asynccontextmanager
async def simulated(model: str = "simulated-small") -> AsyncIterator[DeclaredEngine]:
    """A simulated engine as the platform declares it."""
    settings = SimulatedSettings(port=0, model=model, name=f"Simulated {model}")
    async with listening(build(settings), "127.0.0.1", 0) as url:
        yield DeclaredEngine(
            name=f"Simulated {model}",
            provider_type="simulated",
            api_base=f"{url}/v1",
            port=urlsplit(url).port,
            config=InstanceConfig(temperature=0.5, max_length=7),
        )


async def create(house: House, **fields: Any) -> Instance:
    async with as_role("admin"):
        return await house.bus.ask(contract.CREATE_INSTANCE, CreateInstance.model_validate(fields))


async def update(house: House, port: int, **fields: Any) -> Instance:
    async with as_role("admin"):
        return await house.bus.ask(contract.UPDATE_INSTANCE, UpdateInstance.model_validate({"port": port, **fields}))


async def delete(house: House, port: int) -> Instance:
    async with as_role("admin"):
        return await house.bus.ask(contract.DELETE_INSTANCE, OnPort(port=port))


async def listed(house: House) -> dict[int, Instance]:
    return {found.port: found for found in (await house.bus.ask(contract.LIST_INSTANCES, Empty())).instances}


def test_a_name_made_of_a_port_is_read_back() -> None:
    assert port_of(model_at(5001)) == (5001, None)
    assert port_of(model_at(5001, "team/model:7b")) == (5001, "team/model:7b")
    for other in ("gpt-4o", "port:", "port:x", "port:123456", "aport:5001", "port:٥"):
        assert port_of(other) is None


class TestProbing:
    async def test_a_simulated_instance_speaks_both_apis(self, open_house: Open) -> None:
        async with simulated() as engine:
            house = await open_house(0, declared=[engine])
            assert engine.port is not None
            info = await house.bus.ask(contract.DESCRIBE_INSTANCE, OnPort(port=engine.port))
            assert info.connected
            assert info.kobold == info.model_info
            assert info.kobold is not None
            assert (info.kobold.model, info.kobold.version) == ("simulated-small", "1.82.4")
            assert info.openai is not None
            assert [(model.id, model.object, model.owned_by) for model in info.openai] == [
                ("simulated-small", "model", "simulated")
            ]
            test = await house.bus.ask(contract.TEST_INSTANCE, OnPort(port=engine.port))
            assert (test.connected, test.model_info, test.error) == (True, info.kobold, None)

    async def test_an_instance_may_speak_one_api_alone(self, open_house: Open) -> None:
        house = await open_house()
        port = house.upstreams[0].port
        await create(house, port=port, name="openai alone")
        info = await house.bus.ask(contract.DESCRIBE_INSTANCE, OnPort(port=port))
        assert (info.connected, info.kobold) == (True, None)
        assert info.model_info is not None
        assert (info.model_info.model, info.model_info.version) == ("m", None)

    async def test_one_that_does_not_answer_says_why(self, open_house: Open) -> None:
        house = await open_house()
        created = await create(house, port=NO_PORT, name="nobody")
        assert created.status == "unavailable"
        test = await house.bus.ask(contract.TEST_INSTANCE, OnPort(port=NO_PORT))
        assert (test.connected, test.model_info) == (False, None)
        assert test.error == "The engine could not be reached"
        info = await house.bus.ask(contract.DESCRIBE_INSTANCE, OnPort(port=NO_PORT))
        assert (info.connected, info.kobold, info.openai, info.model_info) == (False, None, None, None)

    async def test_a_port_without_an_instance_is_not_found(self, open_house: Open) -> None:
        house = await open_house()
        for rpc in (contract.TEST_INSTANCE, contract.DESCRIBE_INSTANCE, contract.GET_INSTANCE):
            with pytest.raises(Refused, match="No LLM instance is registered on port 4999") as caught:
                await house.bus.ask(rpc, OnPort(port=4999))
            assert caught.value.code is RefusalCode.NOT_FOUND


class TestKeeping:
    async def test_instances_are_listed_by_port_with_what_is_said_of_them(self, open_house: Open) -> None:
        async with simulated("a") as first, simulated("b") as second:
            house = await open_house(1, declared=[second, first])
            found = await listed(house)
            assert list(found) == sorted(engine.port for engine in (first, second) if engine.port is not None)
            assert first.port is not None
            instance = found[first.port]
            assert (instance.name, instance.status, instance.last_used) == ("Simulated a", "available", None)
            assert instance.config == InstanceConfig(temperature=0.5, max_length=7)
            await house.ask(model_at(first.port))
            assert (await listed(house))[first.port].last_used is not None

    async def test_one_that_does_not_say_what_it_speaks_is_asked(self, open_house: Open) -> None:
        house = await open_house()
        async with kobold_running() as kobold:
            port = urlsplit(kobold.url).port
            assert port is not None
            created = await create(house, port=port, name="kobold", config={"temperature": 0.2, "max_length": 50})
            assert (created.status, created.config.max_length) == ("available", 50)
            assert (await house.engines())["kobold"].provider_type == "koboldai"
            assert (await house.ask(model_at(port))).content == "One two three"
            assert (kobold.asked[-1]["temperature"], kobold.asked[-1]["max_length"]) == (0.2, 50)

    async def test_an_instance_is_changed_and_removed(self, open_house: Open) -> None:
        house = await open_house()
        port = house.upstreams[0].port
        await create(house, port=port, name="one", auth_token="sk-1")
        changed = await update(house, port, name="two", config={"temperature": 0.1, "max_length": 9})
        assert (changed.name, changed.config) == ("two", InstanceConfig(temperature=0.1, max_length=9))
        assert (await house.engines())["two"].has_token
        assert (await update(house, port, enabled=False)).status == "disabled"
        moved = await update(house, port, enabled=True, host="localhost")
        assert (moved.name, moved.status) == ("two", "available")
        assert not (await house.engines())["two"].has_token
        assert (await delete(house, port)).name == "two"
        assert port not in await listed(house)

    async def test_a_port_names_one_instance(self, open_house: Open) -> None:
        house = await open_house()
        port = house.upstreams[0].port
        await create(house, port=port, name="one")
        with pytest.raises(Refused, match="names the engine 'one' already") as caught:
            await create(house, port=port, name="two", api_base="http://10.0.0.9:80")
        assert caught.value.code is RefusalCode.CONFLICT

    async def test_what_the_environment_declares_keeps_all_but_its_config(self, open_house: Open) -> None:
        async with simulated() as engine:
            house = await open_house(0, declared=[engine])
            assert engine.port is not None
            for change in (update(house, engine.port, name="mine"), delete(house, engine.port)):
                with pytest.raises(Refused) as caught:
                    await change
                assert caught.value.code is RefusalCode.CONFLICT
            changed = await update(house, engine.port, config={"temperature": 0.3, "max_length": 3})
            assert changed.config == InstanceConfig(temperature=0.3, max_length=3)
            again = await open_house(0, declared=[engine])
            assert (await listed(again))[engine.port] == changed

    async def test_only_an_administrator_changes_instances(self, open_house: Open) -> None:
        house = await open_house()
        async with as_role("member"):
            with pytest.raises(Refused) as caught:
                await house.bus.ask(contract.CREATE_INSTANCE, CreateInstance(port=5999, name="mine"))
        assert caught.value.code is RefusalCode.FORBIDDEN

    async def test_a_host_or_a_base_says_where_it_is_and_not_both(self, open_house: Open) -> None:
        house = await open_house()
        await create(house, port=5998, name="far", host="::1", provider_type="vllm")
        assert (await house.engines())["far"].api_base == "http://[::1]:5998/v1"
        with pytest.raises(Refused) as caught:
            await create(house, port=5997, name="twice", host="a", api_base="http://b")
        assert caught.value.metadata["errors"][0]["field"] == "host"
        with pytest.raises(Refused) as caught:
            await create(house, port=5996, name="nowhere", host="0" * 64)
        assert caught.value.code is RefusalCode.INVALID


class TestAsking:
    async def test_the_instance_on_the_port_answers_and_no_other(self, open_house: Open) -> None:
        house = await open_house(2)
        first, second = (upstream.port for upstream in house.upstreams)
        await create(house, port=second, name="chosen")
        for _ in range(3):
            reply = await house.ask(model_at(second))
            assert (reply.engine, reply.model) == ("chosen", "m")
        assert (await house.ask(model_at(second, "m"))).engine == "chosen"
        assert (await house.refusal(model_at(first))).code is RefusalCode.NOT_FOUND
        refusal = await house.refusal(model_at(second, "other"))
        assert refusal.code is RefusalCode.NOT_FOUND

    async def test_its_config_holds_where_the_question_says_nothing(self, open_house: Open) -> None:
        async with simulated() as engine:
            house = await open_house(0, declared=[engine])
            assert engine.port is not None
            text = TextCompletion(model=model_at(engine.port), prompt="[INST] Hi [/INST]")
            reply = await house.bus.ask(TEXT_COMPLETE, text)
            assert (reply.usage.completion_tokens, reply.finish_reason) == (7, "length")
            longer = await house.bus.ask(TEXT_COMPLETE, text.model_copy(update={"max_tokens": 9}))
            assert longer.usage.completion_tokens == 9
            plain = await house.bus.ask(CHAT_COMPLETE, chat("simulated-small", "Hi"))
            assert plain.usage.completion_tokens > 9
