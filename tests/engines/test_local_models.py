"""Which models and adapters the local engine holds, who makes room for whom, and what it does under load."""

import asyncio
from pathlib import Path

import aiohttp
import openai
import pytest

from engines.local.catalogue import Catalogue

from .asking import QUESTION, ask, load, unload, until
from .conftest import CONTEXT_LENGTH, Serve, Served, TinyModel, make_model


class TestModels:
    async def test_the_list_names_what_can_be_asked_for(self, served: Served, adapters: list[Path]) -> None:
        await load(served, "mine", adapters[0])
        cards = {card.id: card.model_dump() async for card in served.client.models.list()}
        assert {"tiny", "team/other", "mine"} <= cards.keys()
        assert cards["mine"]["parent"] == "tiny"
        assert cards["tiny"]["max_model_len"] == CONTEXT_LENGTH
        assert (await served.client.models.retrieve("team/other")).id == "team/other"

    async def test_a_path_within_the_folder_means_its_model(self, served: Served, tiny: TinyModel) -> None:
        assert await ask(served, model=str(tiny.folder)) == await ask(served)
        assert list(served.engine.loads) == ["tiny"]

    def test_other_names_are_hugging_face_ids_if_the_hub_is_on(self, tmp_path: Path) -> None:
        source = Catalogue(tmp_path, tmp_path, hub=True).resolve("HuggingFaceTB/SmolLM2-135M")
        assert (source.name, source.path) == ("HuggingFaceTB/SmolLM2-135M", None)

    async def test_a_model_is_loaded_once_for_all_who_ask(self, served: Served) -> None:
        answers = await asyncio.gather(*(ask(served) for _ in range(6)))
        assert len(set(answers)) == 1
        assert served.engine.loads["tiny"].requests == 6

    async def test_the_least_recently_used_model_makes_room(
        self, serve: Serve, tiny: TinyModel, adapters: list[Path]
    ) -> None:
        async with serve(max_models=1) as served:
            await load(served, "mine", adapters[0])
            with_adapter = await ask(served, model="mine")
            await ask(served, model="team/other")
            cards = {card.id: card.model_dump()["metadata"] async for card in served.client.models.list()}
            assert (cards["tiny"]["loaded"], cards["team/other"]["loaded"]) == (False, True)
            assert await ask(served, model="mine") == with_adapter, "an adapter comes back with its base"

    async def test_an_idle_model_makes_room_before_a_busy_one(
        self, serve: Serve, tiny: TinyModel, models_dir: Path
    ) -> None:
        make_model(models_dir / "third")
        async with serve(max_models=2) as served:
            await ask(served)
            await ask(served, model="team/other")
            working = asyncio.create_task(ask(served, max_tokens=200))
            await until(lambda: served.engine.loads["tiny"].running == 1)
            await ask(served, model="team/other", max_tokens=1)
            await until(lambda: served.engine.loads["team/other"].running == 0)
            await ask(served, model="third", max_tokens=1)
            cards = {card.id: card.model_dump()["metadata"] async for card in served.client.models.list()}
            await working
        assert [cards[name]["loaded"] for name in ("tiny", "team/other", "third")] == [True, False, True]

    async def test_models_that_displace_each_other_are_all_answered(
        self, serve: Serve, tiny: TinyModel, other: TinyModel
    ) -> None:
        async with serve(max_models=1) as served:
            names = ["tiny", "team/other"] * 4
            answers = await asyncio.gather(*(ask(served, model=name) for name in names))
        assert set(answers[::2]) == {tiny.greedy(tiny.chat_ids(QUESTION), 24)}
        assert len(set(answers[1::2])) == 1


class TestAdapters:
    async def test_an_adapter_answers_to_its_name_and_leaves_its_base_alone(
        self, served: Served, tiny: TinyModel, adapters: list[Path]
    ) -> None:
        base = await ask(served)
        assert await load(served, "mine", adapters[0]) == (200, "Success: LoRA adapter 'mine' added successfully.")
        expected = tiny.greedy(tiny.chat_ids(QUESTION), 24, adapters[0])
        assert expected != base
        assert await ask(served, model="mine") == expected
        assert await ask(served) == base

    async def test_concurrent_requests_get_their_own_adapters_answer(
        self, served: Served, tiny: TinyModel, adapters: list[Path]
    ) -> None:
        for number, folder in enumerate(adapters):
            await load(served, f"adapter.{number}", folder)
        names = ["adapter.0", "tiny", "adapter.1"] * 5
        answers = await asyncio.gather(*(ask(served, model=name) for name in names))
        expected = [tiny.greedy(tiny.chat_ids(QUESTION), 24, folder) for folder in (adapters[0], None, adapters[1])]
        assert len(set(expected)) == 3
        assert answers == expected * 5

    async def test_a_whole_model_is_loaded_by_name_and_its_memory_freed_with_it(
        self, served: Served, tiny: TinyModel, adapters: list[Path], adapter_dir: Path
    ) -> None:
        """What a full fine-tuning leaves: no adapter, and nothing that is in the folder of models."""
        mine = make_model(adapter_dir / "whole", seed=5)
        await load(served, "mine", mine.folder)
        await load(served, "adapter", adapters[0])
        whole = mine.greedy(mine.chat_ids(QUESTION), 24)
        assert whole != await ask(served)
        assert await asyncio.gather(ask(served, model="mine"), ask(served, model="adapter")) == [
            whole,
            tiny.greedy(tiny.chat_ids(QUESTION), 24, adapters[0]),
        ]
        listed = [model.id async for model in await served.client.models.list()]
        assert [name for name in listed if "whole" in name] == []
        assert {"adapter", "mine", "tiny"} <= set(listed)
        assert await unload(served, "mine") == (200, "Success: LoRA adapter 'mine' removed successfully.")
        with pytest.raises(openai.NotFoundError):
            await ask(served, model="mine")
        assert [name for name in served.engine._loaded if "whole" in name] == []

    async def test_an_unloaded_adapter_is_gone(self, served: Served, adapters: list[Path]) -> None:
        base = await ask(served)
        await load(served, "first", adapters[0])
        await load(served, "second", adapters[1])
        second = await ask(served, model="second")
        assert await unload(served, "first") == (200, "Success: LoRA adapter 'first' removed successfully.")
        with pytest.raises(openai.NotFoundError):
            await ask(served, model="first")
        assert await ask(served, model="second") == second
        await unload(served, "second")
        assert await ask(served) == base
        assert (await unload(served, "second"))[0] == 404

    async def test_a_name_is_taken_until_it_is_replaced_in_place(self, served: Served, adapters: list[Path]) -> None:
        await load(served, "mine", adapters[0])
        first = await ask(served, model="mine")
        status, body = await load(served, "mine", adapters[1])
        assert status == 400
        assert "already been loaded" in body
        assert (await load(served, "mine", adapters[1], load_inplace=True))[0] == 200
        assert await ask(served, model="mine") != first
        assert (await load(served, "tiny", adapters[0]))[0] == 400

    async def test_the_request_may_name_another_base(self, served: Served, adapters: list[Path]) -> None:
        assert (await load(served, "mine", adapters[0], base_model_name="team/other"))[0] == 200
        assert await ask(served, model="mine") != await ask(served, model="team/other")

    async def test_an_adapter_that_does_not_fit_leaves_the_others_alone(
        self, served: Served, tiny: TinyModel, adapters: list[Path], adapter_dir: Path
    ) -> None:
        await load(served, "mine", adapters[0])
        mine, base = await ask(served, model="mine"), await ask(served)
        wrong = adapter_dir / "wrong"
        wrong.mkdir(exist_ok=True)
        config = (adapters[0] / "adapter_config.json").read_text()
        (wrong / "adapter_config.json").write_text(config.replace('"r": 4', '"r": 8'))
        (wrong / "adapter_model.safetensors").write_bytes((adapters[0] / "adapter_model.safetensors").read_bytes())
        status, body = await load(served, "wrong", wrong)
        assert status == 400
        assert "does not fit" in body
        assert await ask(served) == base
        assert await ask(served, model="mine") == mine

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (('"bias": "none"', '"bias": "all"'), "bias"),
            (('"peft_type": "LORA"', '"peft_type": "PROMPT_TUNING"'), "peft_type"),
            (('"init_lora_weights": true', '"init_lora_weights": "pissa"'), "init_lora_weights"),
        ],
    )
    async def test_an_adapter_that_would_change_its_base_is_refused(
        self, served: Served, adapters: list[Path], adapter_dir: Path, change: tuple[str, str], why: str
    ) -> None:
        folder = adapter_dir / f"refused-{why}"
        folder.mkdir()
        config = (adapters[0] / "adapter_config.json").read_text()
        assert change[0] in config
        (folder / "adapter_config.json").write_text(config.replace(*change))
        (folder / "adapter_model.safetensors").write_bytes((adapters[0] / "adapter_model.safetensors").read_bytes())
        status, body = await load(served, "refused", folder)
        assert status == 400
        assert why in body

    async def test_only_safetensors_within_the_folder_are_loaded(
        self, served: Served, adapters: list[Path], adapter_dir: Path, tmp_path: Path
    ) -> None:
        (adapter_dir / "link").symlink_to(tmp_path)
        assert (await load(served, "x", tmp_path))[0] == 400
        assert (await load(served, "x", "../x"))[0] == 400
        assert (await load(served, "x", "link"))[0] == 400
        assert (await load(served, "x", "nothing"))[0] == 404
        pickled = adapter_dir / "pickled"
        pickled.mkdir()
        (pickled / "adapter_config.json").write_text((adapters[0] / "adapter_config.json").read_text())
        (pickled / "adapter_model.bin").write_bytes(b"")
        status, body = await load(served, "x", "pickled")
        assert status == 400
        assert "safetensors" in body

    async def test_an_adapter_speaks_by_the_template_it_was_trained_with(
        self, served: Served, tiny: TinyModel, adapters: list[Path], adapter_dir: Path
    ) -> None:
        folder = adapter_dir / "templated"
        folder.mkdir()
        for file in adapters[0].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "chat_template.jinja").write_text("Q: {{ messages[-1].content }} A:")
        await load(served, "templated", folder)
        ids = tiny.tokenizer(f"Q: {QUESTION} A:", add_special_tokens=False)["input_ids"]
        assert await ask(served, model="templated") == tiny.greedy(ids, 24, adapters[0])


class TestUnderLoad:
    async def test_a_client_that_leaves_stops_the_generation(self, served: Served) -> None:
        stream = await served.client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": QUESTION}], stream=True, temperature=0, max_tokens=200
        )
        load = served.engine.loads["tiny"]
        await anext(aiter(stream))
        assert load.running == 1
        await stream.close()
        await until(lambda: load.running == 0)
        assert load.generation_tokens == 0, "an answer that nobody got is not counted"

    async def test_a_client_that_leaves_the_line_is_not_answered(self, served: Served) -> None:
        await ask(served)
        load = served.engine.loads["tiny"]
        first = asyncio.create_task(ask(served, max_tokens=150))
        second = asyncio.create_task(ask(served, max_tokens=150))
        await until(lambda: load.waiting == 1)
        second.cancel()
        await until(lambda: load.waiting == 0)
        assert await first
        assert load.requests == 2

    async def test_a_full_line_sends_requests_away_for_a_while(self, serve: Serve) -> None:
        async with serve(max_waiting=1) as served:
            await ask(served)
            load = served.engine.loads["tiny"]
            at_work = [asyncio.create_task(ask(served, max_tokens=150)) for _ in range(2)]
            await until(lambda: load.waiting == 1)
            with pytest.raises(openai.InternalServerError) as refused:
                await ask(served)
            await asyncio.gather(*at_work)
        assert refused.value.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"

    async def test_health_answers_while_a_model_works(self, served: Served) -> None:
        await ask(served)
        work = asyncio.create_task(ask(served, max_tokens=200))
        load = served.engine.loads["tiny"]
        await until(lambda: load.running == 1)
        answered_meanwhile = 0
        async with aiohttp.ClientSession(served.url) as session:
            while load.running:
                async with session.get("/health") as response:
                    assert response.status == 200
                answered_meanwhile += load.running
        await work
        assert answered_meanwhile > 5

    async def test_metrics_count_under_vllms_names(self, served: Served, tiny: TinyModel) -> None:
        await ask(served)
        await until(lambda: served.engine.loads["tiny"].running == 0)
        async with aiohttp.ClientSession(served.url) as session, session.get("/metrics") as response:
            text = await response.text()
        assert 'vllm:num_requests_running{model_name="tiny"} 0.0' in text
        assert 'vllm:generation_tokens_total{model_name="tiny"} 24.0' in text
        assert f'vllm:prompt_tokens_total{{model_name="tiny"}} {len(tiny.chat_ids(QUESTION))}.0' in text
