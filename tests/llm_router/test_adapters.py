"""Adapters on engines that load them at run time: how many, which, with which template, and what is refused."""

import asyncio
import os
import time
from contextlib import aclosing

import pytest

from contracts.base import RefusalCode, Refused
from contracts.registry import ServableModel
from contracts.router import CHAT_COMPLETE, CHAT_STREAM
from llm_router.domain.engines import DeclaredEngine
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, chat, soon
from tests.llm_router.upstream import Upstream, running

DORA = (
    "Call to add_lora method failed: Worker failed with error 'vLLM does not yet support DoRA.',"
    " please check the stack trace above for the root cause"
)
"""What vLLM 0.32 says, with status 500."""


async def trained(house: House, count: int = 1, **model: str) -> list[ServableModel]:
    """That many models on the base `m`, which nobody was told of yet."""
    return [
        house.registry.put(f"helper-{i}", base_model="m", adapter=house.put_adapter(), **model) for i in range(count)
    ]


async def loaded(upstream: Upstream, *models: ServableModel) -> None:
    """Returns once the engine holds exactly these adapters."""

    async def holds_them() -> bool:
        return set(upstream.names()) == {"m", *(model.model_id for model in models)}

    await soon(holds_them)


def engine(name: str, provider: str, upstream: Upstream, **options: object) -> DeclaredEngine:
    values = {"name": name, "provider_type": provider, "api_base": upstream.url, **options}
    return DeclaredEngine.model_validate(values)


@pytest.mark.parametrize("provider", ["vllm", "local"])
class TestHowManyAreLoaded:
    async def test_the_least_recently_used_is_unloaded_for_one_more(self, open_house: Open, provider: str) -> None:
        house = await open_house(provider=provider, adapters_per_engine=2)
        first, second, third = await trained(house, 3)
        for model in (first, second, first, third):
            await house.ask(model.model_id)
        assert house.upstreams[0].unloads == [second.model_id]
        await loaded(house.upstreams[0], first, third)

    async def test_one_that_was_unloaded_is_loaded_again_when_asked(self, open_house: Open, provider: str) -> None:
        house = await open_house(provider=provider, adapters_per_engine=1)
        first, second = await trained(house, 2)
        for model in (first, second, first):
            assert (await house.ask(model.model_id)).content == "One two three"
        assert [load["lora_name"] for load in house.upstreams[0].loads] == [m.model_id for m in (first, second, first)]
        await loaded(house.upstreams[0], first)

    async def test_one_that_answers_is_not_unloaded(self, open_house: Open, provider: str) -> None:
        house = await open_house(provider=provider, adapters_per_engine=1)
        first, second, third = await trained(house, 3)
        engine = house.upstreams[0]
        engine.faults.append(faults.hang_after_a_word)
        async with aclosing(house.bus.stream(CHAT_STREAM, chat(first.model_id, "Hello"))) as answer:
            await anext(answer)
            await house.ask(second.model_id)
            assert engine.unloads == []
        await engine.left.wait()
        await house.ask(third.model_id)
        await loaded(engine, third)

    async def test_many_at_once_are_all_answered_whatever_the_limit(self, open_house: Open, provider: str) -> None:
        house = await open_house(provider=provider, replicas=2, adapters_per_engine=1)
        models = await trained(house, 4)
        replies = await asyncio.gather(*(house.ask(model.model_id) for model in models * 5))
        assert {reply.content for reply in replies} == {"One two three"}


class TestRefusals:
    async def test_an_adapter_that_vllm_refuses_is_told_for_good_and_hurts_nothing_else(self, open_house: Open) -> None:
        house = await open_house(provider="vllm", breaker_failures=1)
        (model,) = await trained(house)
        house.upstreams[0].load_answers.append((500, DORA))
        refusals = [await house.refusal(model.model_id) for _ in range(3)]
        assert {refusal.code for refusal in refusals} == {RefusalCode.ENGINE_FAILED}
        assert {(refusal.metadata["type"], refusal.metadata["temporary"]) for refusal in refusals} == {
            ("model_load", False)
        }
        assert refusals[0].message == f"{model.model_id} could not be loaded. vLLM does not yet support DoRA."
        assert len(house.upstreams[0].loads) == 1, "it is not asked again and again"
        assert (await house.ask("m")).content

    async def test_a_gpu_that_is_full_at_the_moment_is_tried_again(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        (model,) = await trained(house)
        said = "Call to add_lora method failed: CUDA out of memory. Tried to allocate 20.00 MiB"
        house.upstreams[0].load_answers.append((500, said))
        assert (await house.ask(model.model_id)).content

    async def test_what_vllm_refuses_goes_to_a_local_engine_with_the_same_base(self, open_house: Open) -> None:
        async with running() as vllm, running() as local:
            vllm.load_answers.extend([(500, DORA)] * 3)
            house = await open_house(
                0, declared=[engine("gpu", "vllm", vllm, priority=10), engine("local", "local", local)]
            )
            (model,) = await trained(house)
            assert [(await house.ask(model.model_id)).engine for _ in range(3)] == ["local"] * 3
            assert len(vllm.loads) == 1


class TestTemplates:
    async def test_a_trained_model_is_asked_with_the_template_it_was_trained_with(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        (model,) = await trained(house, chat_template="{{ messages }}")
        await house.ask(model.model_id)
        await house.stream(model.model_id)
        await house.ask("m")
        sent = [request.get("chat_template") for request in house.upstreams[0].requests]
        assert sent == ["{{ messages }}", "{{ messages }}", None]

    @pytest.mark.parametrize("extra", [{"chat_template": "{{ 1 }}"}, {"chat_template_kwargs": {"chat_template": "x"}}])
    async def test_a_caller_cannot_bring_a_template(self, open_house: Open, extra: dict[str, object]) -> None:
        house = await open_house(provider="vllm")
        with pytest.raises(Refused) as caught:
            await house.bus.ask(CHAT_COMPLETE, chat("m", "Hello").model_copy(update={"extra": extra}))
        assert caught.value.code is RefusalCode.INVALID
        assert house.upstreams[0].requests == []

    async def test_other_values_for_a_template_are_passed_on(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        extra = {"chat_template_kwargs": {"enable_thinking": False}}
        await house.bus.ask(CHAT_COMPLETE, chat("m", "Hello").model_copy(update={"extra": extra}))
        assert house.upstreams[0].requests[-1]["chat_template_kwargs"] == {"enable_thinking": False}


class TestPriority:
    async def test_a_lower_engine_stands_in_until_the_higher_one_is_back(self, open_house: Open) -> None:
        async with running() as vllm, running() as local:
            house = await open_house(
                0, declared=[engine("gpu", "vllm", vllm, priority=10), engine("local", "local", local)]
            )
            (model,) = await trained(house)
            assert (await house.ask(model.model_id)).engine == "gpu"
            await vllm.stop()
            vllm.models = [{"id": "m"}]
            assert (await house.ask(model.model_id)).engine == "local"
            await vllm.start(vllm.port)

            async def is_back() -> bool:
                return (await house.ask(model.model_id)).engine == "gpu"

            await soon(is_back)
            assert len(vllm.loads) == 2

    async def test_a_declared_model_is_known_before_its_engine_is_there(self, open_house: Open) -> None:
        upstream = Upstream(url="http://127.0.0.1:9/v1")
        house = await open_house(0, declared=[engine("gpu", "vllm", upstream, models=["org/base"])], engine_patience=0)
        assert (await house.models())["org/base"].status == "unavailable"
        assert (await house.refusal("org/base")).code is RefusalCode.ENGINE_UNAVAILABLE


class TestFiles:
    async def test_files_that_no_engine_holds_go_when_space_is_short(self, open_house: Open) -> None:
        house = await open_house(provider="vllm", adapters_per_engine=1, adapter_cache_bytes=0)
        first, second, third = await trained(house, 3)
        for model in (first, second):
            await house.ask(model.model_id)
        assert _kept(house) == {first.model_id, second.model_id}, "both were just loaded"
        an_hour_ago = time.time() - 3700
        for model in (first, second):
            os.utime(house.adapter_dir / model.model_id, (an_hour_ago, an_hour_ago))
        (house.adapter_dir / ".left.behind").mkdir()
        os.utime(house.adapter_dir / ".left.behind", (an_hour_ago, an_hour_ago))
        await house.ask(third.model_id)
        assert _kept(house) == {second.model_id, third.model_id}, "the engine still held the second"
        assert (await house.ask(first.model_id)).content

    async def test_files_stay_while_there_is_space(self, open_house: Open) -> None:
        house = await open_house(provider="vllm", adapters_per_engine=1)
        models = await trained(house, 3)
        for model in models:
            await house.ask(model.model_id)
        assert _kept(house) == {model.model_id for model in models}


def _kept(house: House) -> set[str]:
    return {path.name for path in house.adapter_dir.iterdir()}
