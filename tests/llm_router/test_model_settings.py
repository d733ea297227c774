"""What an administrator says about single models: prices, fallbacks, and whether they may be asked at all."""

from decimal import Decimal

import pytest

from contracts.base import RefusalCode, Refused
from contracts.engines import GET_MODEL_SETTINGS, PUT_MODEL_SETTINGS, ModelSettings, NamedModel
from contracts.router import Prices
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, as_role, soon
from tests.llm_router.test_models import helper_name, register


async def say(house: House, model: str, **settings: object) -> ModelSettings:
    async with as_role("admin"):
        return await house.bus.ask(PUT_MODEL_SETTINGS, ModelSettings.model_validate({"model": model, **settings}))


def prices(read: str, written: str) -> Prices:
    return Prices(input=Decimal(read), output=Decimal(written))


async def test_what_is_said_is_read_again_and_listed(open_house: Open) -> None:
    house = await open_house()
    said = await say(
        house, "m", prices={"input": "1.5", "output": "2"}, context_size=99, capabilities=["chat"], fallbacks=["n"]
    )
    assert await house.bus.ask(GET_MODEL_SETTINGS, NamedModel(model="m")) == said
    listed = (await house.models())["m"]
    assert (listed.prices, listed.context_size, listed.max_tokens) == (prices("1.5", "2"), 99, 99)
    assert (listed.capabilities, listed.fallbacks) == (["chat"], ["n"])
    nothing = await say(house, "m")
    assert nothing == ModelSettings(model="m") == await house.bus.ask(GET_MODEL_SETTINGS, NamedModel(model="m"))


async def test_only_an_administrator_says_it(open_house: Open) -> None:
    house = await open_house()
    async with as_role("member"):
        with pytest.raises(Refused) as caught:
            await house.bus.ask(PUT_MODEL_SETTINGS, ModelSettings(model="m", enabled=False))
    assert caught.value.code is RefusalCode.FORBIDDEN
    assert (await house.ask("m")).engine == "e0"


class TestEnabling:
    async def test_a_disabled_model_is_refused_until_it_is_enabled_again(self, open_house: Open) -> None:
        house = await open_house()
        await say(house, "m", enabled=False)
        refusal = await house.refusal("m")
        assert refusal.code is RefusalCode.FORBIDDEN
        assert (refusal.metadata["type"], refusal.metadata["temporary"]) == ("model_disabled", False)
        assert refusal.metadata["troubleshooting"]
        assert (await house.models())["m"].status == "disabled"
        assert house.upstreams[0].requests == []
        await say(house, "m")
        assert (await house.ask("m")).model == "m"

    async def test_every_replica_hears_of_it(self, open_house: Open) -> None:
        house = await open_house(replicas=3)
        await say(house, "m", enabled=False)

        async def nobody_answers() -> bool:
            return all([(await house.models())["m"].status == "disabled" for _ in range(10)])

        await soon(nobody_answers)

    async def test_its_fallback_is_asked_in_its_place(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].models.append({"id": "n"})
        await say(house, "m", enabled=False, fallbacks=["n"])
        assert (await house.ask("m")).model == "n"
        row = await house.recorded("Hello")
        assert (row["model"], row["requested_model"]) == ("n", "m")

    async def test_a_trained_model_that_is_disabled_by_its_id_is_so_by_its_name(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        model = await register(house, name)
        await say(house, model.model_id, enabled=False)
        for asked in (name, model.model_id):
            assert (await house.refusal(asked)).metadata["type"] == "model_disabled"
            assert (await house.models())[asked].status == "disabled"


class TestPrices:
    async def test_a_models_own_price_makes_the_cost_of_an_answer(self, open_house: Open) -> None:
        house = await open_house()
        assert (await house.ask("m")).cost is None
        await say(house, "m", prices={"input": "100", "output": "1000"})
        # 5 tokens read and 3 written.
        assert (await house.ask("m", "dear")).cost == Decimal("0.0035")
        assert (await house.recorded("dear"))["cost"] == Decimal("0.0035")


class TestFallbacks:
    async def test_a_chain_is_asked_in_its_order_when_the_model_cannot_answer(self, open_house: Open) -> None:
        house = await open_house(2, engine_patience=0.1)
        house.upstreams[1].models = [{"id": "last"}]
        await say(house, "m", fallbacks=["nowhere", "last"])
        await house.upstreams[0].stop()

        async def is_listed() -> bool:
            return "last" in await house.models()

        await soon(is_listed)
        reply = await house.ask("m")
        assert (reply.model, reply.engine) == ("last", "e1")
        *_, whole = await house.stream("m")
        assert getattr(whole, "model", None) == "last"

    async def test_the_failure_is_that_of_the_model_when_no_fallback_can_either(self, open_house: Open) -> None:
        house = await open_house(engine_patience=0.1)
        await say(house, "m", fallbacks=["nowhere"])
        await house.upstreams[0].stop()
        refusal = await house.refusal("m")
        assert refusal.metadata["type"] == "connection"

    async def test_what_the_caller_did_wrong_goes_to_no_fallback(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].models.append({"id": "n"})
        await say(house, "m", fallbacks=["n"])
        house.upstreams[0].faults.append(faults.status(400, "temperature is odd"))
        assert (await house.refusal("m")).code is RefusalCode.INVALID
        assert len(house.upstreams[0].requests) == 1

    async def test_a_model_does_not_fall_back_on_itself(self, open_house: Open) -> None:
        house = await open_house()
        with pytest.raises(Refused) as caught:
            await say(house, "m", fallbacks=["m"])
        assert caught.value.metadata["errors"][0]["field"] == "fallbacks"
