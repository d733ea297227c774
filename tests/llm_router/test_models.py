"""Models that can be asked for: listed, discovered, trained ones loaded on first use."""

import asyncio
import uuid

from contracts.base import RefusalCode
from contracts.registry import ServableModel
from contracts.router import ServedModel
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, soon, until


def helper_name() -> str:
    return f"helper-{uuid.uuid4().hex[:8]}"


async def register(house: House, name: str, **adapter: str) -> ServableModel:
    """A trained model on the base `m`, told to everybody, once the router has heard of it."""
    model = house.registry.put(name, base_model="m", adapter=house.put_adapter(**adapter))
    await house.registry.tell()

    async def is_listed() -> bool:
        return model.model_id in await house.models()

    await soon(is_listed)
    return model


class TestList:
    async def test_models_of_engines_are_listed_with_lasting_numbers(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        model = (await house.models())["m"]
        assert (model.provider, model.max_tokens, model.status, model.engine) == ("simulated", 2048, "active", "e0")
        house.upstreams[0].models.append({"id": "n"})
        await house.discovered("n")
        models = await house.models()
        assert models["m"].id == model.id
        assert models["n"].id != model.id

    async def test_a_model_whose_engine_is_away_is_unavailable(self, open_house: Open) -> None:
        house = await open_house()
        await house.upstreams[0].stop()

        async def is_away() -> bool:
            return (await house.models())["m"].status == "unavailable"

        await soon(is_away)

    async def test_replicas_give_the_same_numbers(self, open_house: Open) -> None:
        house = await open_house(replicas=3)
        names = {f"n{i}" for i in range(20)}
        house.upstreams[0].models += [{"id": name} for name in names]

        async def all_know() -> list[dict[str, ServedModel]]:
            answers = [await house.models() for _ in range(15)]
            return answers if all(names <= answer.keys() for answer in answers) else []

        answers = await soon(all_know)
        numbers = [{name: model.id for name, model in answer.items() if name in names} for answer in answers]
        assert numbers[0].keys() == names
        assert all(other == numbers[0] for other in numbers)

    async def test_a_change_of_a_model_is_noted(self, open_house: Open) -> None:
        house = await open_house()
        before = (await house.models())["m"]
        house.upstreams[0].models[0]["max_model_len"] = 4

        async def is_noted() -> bool:
            rows = await house.rows("SELECT max_tokens FROM served_models WHERE name = 'm'")
            return bool(rows) and rows[0]["max_tokens"] == 4

        await soon(is_noted, seconds=8)
        after = (await house.models())["m"]
        assert after.max_tokens == 4
        assert after.updated_at > before.updated_at
        assert after.created_at == before.created_at


class TestTrainedModels:
    async def test_a_registered_model_is_listed_at_once_by_id_and_by_name(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        model = await register(house, name)
        models = await house.models()
        for listed in (models[model.model_id], models[name]):
            assert (listed.parent, listed.model_id, listed.status) == ("m", model.model_id, "active")
            assert listed.max_tokens == 2048
        assert house.upstreams[0].loads == []

    async def test_its_adapter_is_loaded_on_first_use(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        model = await register(house, name)
        reply = await house.ask(name)
        assert (reply.model, reply.engine) == (name, "e0")
        folder = house.adapter_dir / model.model_id
        assert house.upstreams[0].loads == [
            {"lora_name": model.model_id, "lora_path": str(folder), "base_model_name": "m"}
        ]
        assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
        assert house.upstreams[0].requests[-1]["model"] == model.model_id
        assert (await house.ask(model.model_id)).model == model.model_id
        assert len(house.upstreams[0].loads) == 1

    async def test_many_first_uses_load_it_once(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name)
        replies = await asyncio.gather(*(house.ask(name) for _ in range(20)))
        assert {reply.content for reply in replies} == {"One two three"}
        assert len(house.upstreams[0].loads) == 1
        assert [path for path in house.adapter_dir.iterdir() if path.name.startswith(".")] == []

    async def test_it_is_loaded_again_after_a_restart_of_the_engine(self, open_house: Open) -> None:
        house = await open_house(provider="vllm", engine_check_interval=60)
        name = helper_name()
        await register(house, name)
        await house.ask(name)
        house.upstreams[0].models = [{"id": "m"}]
        assert len(await house.stream(name)) == 4
        assert len(house.upstreams[0].loads) == 2

    async def test_its_base_can_be_asked_beside_it(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name)
        assert (await house.ask(name)).model == name
        assert (await house.ask("m")).model == "m"
        assert [request["model"] for request in house.upstreams[0].requests][-1] == "m"

    async def test_the_template_it_was_trained_with_is_put_beside_its_files(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        model = house.registry.put(name, base_model="m", adapter=house.put_adapter(), chat_template="{{ messages }}")
        await house.registry.tell()
        await house.ask(name)
        assert (house.adapter_dir / model.model_id / "chat_template.jinja").read_text() == "{{ messages }}"

    async def test_one_whose_event_was_missed_is_asked_for_at_the_registry(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        house.registry.put(name, base_model="m", adapter=house.put_adapter())
        assert (await house.ask(name)).model == name

    async def test_those_registered_before_the_start_are_known(self, open_house: Open) -> None:
        early = await open_house(0)
        name = helper_name()
        model = early.registry.put(name, base_model="m", adapter=early.put_adapter())
        house = await open_house(provider="vllm")

        async def is_listed() -> bool:
            answers = [await house.models() for _ in range(5)]
            return all(model.model_id in models and name in models for models in answers)

        await soon(is_listed)

    async def test_an_unknown_name_is_not_asked_for_again_and_again(self, open_house: Open) -> None:
        house = await open_house()
        name = helper_name()
        for _ in range(10):
            await house.refusal(name)
        assert house.registry.asked <= 4

    async def test_a_name_leads_to_the_newest_model(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name)
        newer = await register(house, name)
        await house.ask(name)
        assert house.upstreams[0].requests[-1]["model"] == newer.model_id

    async def test_an_export_that_lacks_a_file_is_told(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name, without="adapter_model.safetensors")
        refusal = await house.refusal(name)
        assert refusal.code is RefusalCode.ENGINE_FAILED
        assert refusal.metadata["type"] == "model_load"
        assert "adapter_model.safetensors" in refusal.message
        assert list(house.adapter_dir.iterdir()) == []

    async def test_an_export_that_could_run_code_is_never_loaded(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name, extra="optimizer.pt")
        refusal = await house.refusal(name)
        assert refusal.metadata["type"] == "model_load"
        assert house.upstreams[0].loads == []

    async def test_an_adapter_that_the_engine_refuses_is_told(self, open_house: Open) -> None:
        house = await open_house(provider="vllm")
        name = helper_name()
        await register(house, name)
        house.upstreams[0].load_answers.append((400, "rank too high"))
        refusal = await house.refusal(name)
        assert refusal.metadata["type"] == "model_load"
        assert "rank too high" in refusal.message

    async def test_a_load_that_takes_too_long_fails_while_others_are_answered(self, open_house: Open) -> None:
        house = await open_house(provider="vllm", model_load_timeout=2.0)
        name = helper_name()
        await register(house, name)
        house.upstreams[0].slow_load = 5.0
        loading = asyncio.create_task(house.refusal(name))
        await until(lambda: bool(house.upstreams[0].loads))
        assert (await house.ask("m")).content
        assert not loading.done()
        refusal = await loading
        assert refusal.code is RefusalCode.TIMEOUT
        assert refusal.metadata["type"] == "timeout"

    async def test_an_engine_that_cannot_load_adapters_is_not_asked(self, open_house: Open) -> None:
        house = await open_house(provider="openai")
        name = helper_name()
        model = await register(house, name)
        assert (await house.models())[model.model_id].status == "unavailable"
        refusal = await house.refusal(name)
        assert refusal.code is RefusalCode.ENGINE_UNAVAILABLE
        assert house.upstreams[0].loads == []

    async def test_the_engine_that_holds_it_is_asked_again(self, open_house: Open) -> None:
        house = await open_house(2, provider="vllm")
        name = helper_name()
        await register(house, name)
        engines = {(await house.ask(name)).engine for _ in range(6)}
        assert len(engines) == 1
        assert sum(len(upstream.loads) for upstream in house.upstreams) == 1

    async def test_a_failed_engine_gives_way_to_another_that_loads_it(self, open_house: Open) -> None:
        house = await open_house(2, provider="vllm")
        name = helper_name()
        await register(house, name)
        first = int((await house.ask(name)).engine[1:])
        house.upstreams[first].faults.append(faults.drop)
        await house.upstreams[first].stop()
        assert (await house.ask(name)).engine == f"e{1 - first}"
