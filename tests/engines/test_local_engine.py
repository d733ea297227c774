"""The local engine over HTTP, asked with OpenAI's own client, against what transformers answers itself."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import openai
import pytest
import torch

from engines.local.catalogue import Catalogue

from .conftest import CONTEXT_LENGTH, Serve, Served, TinyModel, make_model

QUESTION = "what does the fox do"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]


async def ask(served: Served, model: str = "tiny", question: str = QUESTION, **parameters: object) -> str:
    """The greedy answer, not streamed."""
    completion = await served.client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        **{"temperature": 0, "max_tokens": 24} | parameters,
    )
    return completion.choices[0].message.content or ""


class TestAnswers:
    async def test_a_greedy_answer_is_the_one_of_transformers_generate(self, served: Served, tiny: TinyModel) -> None:
        expected = tiny.greedy(tiny.chat_ids(QUESTION), 24)
        assert expected
        assert await ask(served) == expected

    async def test_a_streamed_answer_joins_to_the_same_text(self, served: Served, tiny: TinyModel) -> None:
        stream = await served.client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": QUESTION}],
            temperature=0,
            max_tokens=24,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert chunks[0].choices[0].delta.role == "assistant"
        assert len([piece for piece in pieces if piece]) > 3
        assert "".join(pieces) == tiny.greedy(tiny.chat_ids(QUESTION), 24)
        assert chunks[-2].choices[0].finish_reason == "length"
        assert not chunks[-1].choices
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.prompt_tokens == len(tiny.chat_ids(QUESTION))
        assert chunks[-1].usage.completion_tokens == 24

    async def test_a_text_completion_reads_the_prompt_as_it_is(self, served: Served, tiny: TinyModel) -> None:
        ids = tiny.tokenizer("the quick")["input_ids"]
        expected = tiny.greedy(ids, 16)
        by_text = await served.client.completions.create(model="tiny", prompt="the quick", temperature=0)
        by_tokens = await served.client.completions.create(model="tiny", prompt=ids, temperature=0)
        assert by_text.choices[0].text == by_tokens.choices[0].text == expected
        assert by_text.usage is not None
        assert (by_text.usage.prompt_tokens, by_text.usage.completion_tokens) == (len(ids), 16)

    async def test_a_text_completion_streams_too(self, served: Served, tiny: TinyModel) -> None:
        stream = await served.client.completions.create(model="tiny", prompt="the", temperature=0, stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
        assert text == tiny.greedy(tiny.tokenizer("the")["input_ids"], 16)

    async def test_a_stop_text_ends_the_answer_before_it(self, served: Served) -> None:
        whole = await ask(served)
        stop = whole[10:13]
        before = whole[: whole.find(stop)]
        completion = await served.client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=24, stop=[stop]
        )
        assert completion.choices[0].message.content == before
        assert completion.choices[0].finish_reason == "stop"

    async def test_an_end_token_ends_the_answer(self, serve: Serve, tiny: TinyModel, models_dir: Path) -> None:
        ids = tiny.model.generate(
            tiny.tokenizer("the", return_tensors="pt")["input_ids"], do_sample=False, max_new_tokens=8
        )[0].tolist()
        fourth = ids[-8:][4]
        ending = make_model(models_dir / "ending")
        ending.model.generation_config.eos_token_id = [fourth]
        ending.model.generation_config.save_pretrained(ending.folder)
        async with serve() as served:
            completion = await served.client.completions.create(model="ending", prompt="the", temperature=0)
            onwards = await served.client.completions.create(
                model="ending", prompt="the", temperature=0, extra_body={"ignore_eos": True}
            )
        assert completion.choices[0].finish_reason == "stop"
        assert completion.usage is not None
        assert completion.usage.completion_tokens == ids[-8:].index(fourth) + 1
        assert onwards.choices[0].finish_reason == "length"

    async def test_a_seed_repeats_a_sampled_answer(self, served: Served) -> None:
        first, second, third = [await ask(served, temperature=1, seed=seed) for seed in (5, 5, 6)]
        assert first == second != third

    async def test_sampling_from_one_token_is_greedy(self, served: Served) -> None:
        assert await ask(served, temperature=2, extra_body={"top_k": 1}) == await ask(served)
        assert await ask(served, temperature=1, top_p=0.000001) == await ask(served)

    async def test_a_model_without_a_template_reads_a_plain_chat(self, served: Served, other: TinyModel) -> None:
        ids = other.tokenizer(f"System: be brief\n\nUser: {QUESTION}\n\nAssistant:")["input_ids"]
        completion = await served.client.chat.completions.create(
            model="team/other",
            messages=[{"role": "developer", "content": "be brief"}, {"role": "user", "content": QUESTION}],
            temperature=0,
            max_tokens=24,
        )
        assert completion.choices[0].message.content == other.greedy(ids, 24)

    async def test_an_answer_ends_where_the_context_does(self, served: Served, tiny: TinyModel) -> None:
        completion = await served.client.completions.create(
            model="tiny", prompt=[70] * 250, temperature=0, max_tokens=1000
        )
        assert completion.usage is not None
        assert completion.usage.total_tokens == CONTEXT_LENGTH
        assert completion.choices[0].finish_reason == "length"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "fox": {"type": "boolean"},
        "colour": {"enum": ["brown", "red"]},
        "jumps": {"type": "integer", "minimum": 0, "maximum": 9},
        "over": {"type": "array", "items": {"const": "dog"}, "minItems": 2, "maxItems": 2},
    },
    "required": ["fox", "colour", "jumps", "over"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "fox", "schema": SCHEMA, "strict": True}}


class TestWhatItAnswersWith:
    @pytest.mark.parametrize("temperature", [0, 1.5])
    async def test_json_of_a_schema_whatever_the_model_would_say(self, served: Served, temperature: float) -> None:
        answer = await served.client.chat.completions.create(
            model="tiny", messages=MESSAGES, response_format=FORMAT, temperature=temperature, max_tokens=150
        )
        assert answer.choices[0].finish_reason == "stop"
        jsonschema_rs.validate(SCHEMA, json.loads(answer.choices[0].message.content or ""))

    async def test_a_schema_it_cannot_follow_is_refused(self, served: Served) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
        with pytest.raises(openai.BadRequestError, match="schema") as refused:
            await served.client.chat.completions.create(model="tiny", messages=MESSAGES, response_format=wanted)
        assert refused.value.param == "response_format"

    @pytest.mark.parametrize("stream", [False, True])
    async def test_several_choices(self, served: Served, stream: bool) -> None:
        asked: Any = {"model": "tiny", "messages": MESSAGES, "n": 3, "seed": 5, "temperature": 1.5, "max_tokens": 12}
        one = await served.client.chat.completions.create(**asked | {"n": 1})
        if stream:
            chunks = [chunk async for chunk in await served.client.chat.completions.create(**asked, stream=True)]
            texts = ["", "", ""]
            for choice in (choice for chunk in chunks for choice in chunk.choices):
                texts[choice.index] += choice.delta.content or ""
            assert sum(choice.finish_reason is not None for chunk in chunks for choice in chunk.choices) == 3
        else:
            answer = await served.client.chat.completions.create(**asked)
            texts = [choice.message.content or "" for choice in answer.choices]
            assert answer.usage is not None
            assert one.usage is not None
            assert answer.usage.prompt_tokens == one.usage.prompt_tokens
            assert answer.usage.completion_tokens > one.usage.completion_tokens
        assert texts[0] == one.choices[0].message.content
        assert len(set(texts)) == 3

    async def test_how_likely_each_token_was(self, served: Served, tiny: TinyModel) -> None:
        answer = await served.client.chat.completions.create(
            model="tiny", messages=MESSAGES, temperature=0, max_tokens=6, logprobs=True, top_logprobs=2
        )
        told = answer.choices[0].logprobs
        assert told is not None
        assert told.content is not None
        ids = torch.tensor([tiny.chat_ids(MESSAGES[0]["content"])])
        with torch.inference_mode():
            expected = torch.log_softmax(tiny.model(ids).logits[0, -1], dim=-1)
        assert told.content[0].logprob == pytest.approx(float(expected.max()), abs=1e-4)
        assert [top.logprob for top in told.content[0].top_logprobs] == pytest.approx(
            expected.topk(2).values.tolist(), abs=1e-4
        )
        # The likeliest was taken at every place, since the temperature was 0.
        assert all(token.top_logprobs[0].token == token.token for token in told.content)
        chunks = [
            chunk
            async for chunk in await served.client.chat.completions.create(
                model="tiny", messages=MESSAGES, temperature=0, max_tokens=6, logprobs=True, top_logprobs=2, stream=True
            )
        ]
        streamed = [
            token for chunk in chunks if (said := chunk.choices[0].logprobs) is not None for token in said.content or ()
        ]
        assert streamed == told.content

    async def test_a_bias_and_penalties_change_what_is_chosen(self, served: Served, tiny: TinyModel) -> None:
        token = tiny.tokenizer.convert_tokens_to_ids("q")
        asked: Any = {"model": "tiny", "messages": MESSAGES, "temperature": 0, "max_tokens": 8}
        biased = await served.client.chat.completions.create(**asked, logit_bias={str(token): 100})
        assert biased.choices[0].message.content == "q" * 8
        varied = await served.client.chat.completions.create(
            **asked, logit_bias={str(token): 3}, frequency_penalty=2, presence_penalty=2
        )
        assert varied.choices[0].message.content != biased.choices[0].message.content

    async def test_several_prompts_are_continued_each(self, served: Served, tiny: TinyModel) -> None:
        prompts = ["the quick", "over the"]
        answer = await served.client.completions.create(model="tiny", prompt=prompts, temperature=0, max_tokens=5)
        ids = [tiny.tokenizer(prompt)["input_ids"] for prompt in prompts]
        assert [choice.text for choice in answer.choices] == [tiny.greedy(prompt, 5) for prompt in ids]
        as_tokens = await served.client.completions.create(model="tiny", prompt=ids, temperature=0, max_tokens=5)
        assert [choice.text for choice in as_tokens.choices] == [choice.text for choice in answer.choices]

    async def test_embeddings_are_the_mean_of_the_last_hidden_states(self, served: Served, tiny: TinyModel) -> None:
        texts = ["the quick brown fox", "the lazy dog"]
        got = await served.client.embeddings.create(model="tiny", input=texts)
        numbers = await served.client.embeddings.create(model="tiny", input=texts, encoding_format="float")
        for text, embedding, plain in zip(texts, got.data, numbers.data, strict=True):
            ids = torch.tensor([tiny.tokenizer(text)["input_ids"]])
            with torch.inference_mode():
                states = tiny.model.model(ids).last_hidden_state[0].mean(dim=0)
            expected = (states / states.norm()).tolist()
            assert embedding.embedding == pytest.approx(expected, abs=1e-5)
            assert plain.embedding == pytest.approx(expected, abs=1e-5)
        assert got.usage.prompt_tokens == sum(len(tiny.tokenizer(text)["input_ids"]) for text in texts)
        with pytest.raises(openai.BadRequestError, match="32 dimensions"):
            await served.client.embeddings.create(model="tiny", input=texts, dimensions=8)

    async def test_an_adapter_has_vectors_of_its_own(self, served: Served, adapters: list[Path]) -> None:
        await load(served, "mine", adapters[0])
        base, mine, again = [
            (await served.client.embeddings.create(model=model, input="the fox")).data[0].embedding
            for model in ("tiny", "mine", "tiny")
        ]
        assert base == again
        assert base != pytest.approx(mine, abs=1e-3)


class TestRefusals:
    async def test_an_unknown_model_is_not_found(self, served: Served) -> None:
        with pytest.raises(openai.NotFoundError) as refused:
            await ask(served, model="nobody")
        assert refused.value.code == "model_not_found"

    @pytest.mark.parametrize("name", ["../models", "/etc", "tiny/../../x", "a\\b"])
    async def test_a_name_that_leads_out_of_the_folder_is_refused(self, served: Served, name: str) -> None:
        with pytest.raises(openai.BadRequestError):
            await ask(served, model=name)

    async def test_a_prompt_that_fills_the_context_is_refused(self, served: Served) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            await served.client.completions.create(model="tiny", prompt=[70] * CONTEXT_LENGTH)
        assert refused.value.code == "context_length_exceeded"

    async def test_a_stream_that_cannot_begin_is_refused_with_a_status(self, served: Served) -> None:
        with pytest.raises(openai.BadRequestError):
            await served.client.completions.create(model="tiny", prompt=[70] * CONTEXT_LENGTH, stream=True)

    @pytest.mark.parametrize(
        ("parameters", "param"),
        [
            ({"n": 129}, "n"),
            ({"temperature": 3}, "temperature"),
            ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
            ({"logit_bias": {"99999": 1}}, "logit_bias"),
            ({"extra_body": {"tempreature": 1}}, "tempreature"),
            ({"max_tokens": 0}, "max_tokens"),
        ],
    )
    async def test_what_it_cannot_do_is_refused_by_name(
        self, served: Served, parameters: dict[str, object], param: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            await ask(served, **parameters)
        assert refused.value.param == param

    async def test_parameters_that_ask_for_nothing_are_taken(self, served: Served) -> None:
        assert await ask(served, frequency_penalty=0, tools=[], user="someone", n=1)

    async def test_a_model_without_safetensors_is_not_loaded(self, serve: Serve, models_dir: Path) -> None:
        broken = make_model(models_dir / "pickled")
        (broken.folder / "model.safetensors").rename(broken.folder / "pytorch_model.bin")
        async with serve() as served:
            with pytest.raises(openai.InternalServerError) as refused:
                await ask(served, model="pickled")
        assert refused.value.code == "model_load_failed"

    async def test_an_unknown_address_answers_in_openais_form(self, served: Served) -> None:
        with pytest.raises(openai.NotFoundError, match="Not Found"):
            await served.client.moderations.create(model="tiny", input="x")


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


async def load(served: Served, name: str, folder: Path | str, **fields: object) -> tuple[int, str]:
    async with aiohttp.ClientSession(served.url) as session:
        body = {"lora_name": name, "lora_path": str(folder), **fields}
        async with session.post("/v1/load_lora_adapter", json=body) as response:
            return response.status, await response.text()


async def unload(served: Served, name: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(served.url) as session,
        session.post("/v1/unload_lora_adapter", json={"lora_name": name}) as response,
    ):
        return response.status, await response.text()


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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - plain counters, which nothing announces
            await asyncio.sleep(0.001)


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
            answers = await asyncio.gather(*(ask(served) for _ in range(4)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, openai.InternalServerError)]
        assert len(refused) == 2
        assert refused[0].status_code == 503
        assert refused[0].response.headers["Retry-After"] == "1"

    async def test_health_answers_while_a_model_works(self, served: Served) -> None:
        work = asyncio.create_task(ask(served, max_tokens=200))
        slowest = 0.0
        async with aiohttp.ClientSession(served.url) as session:
            while not work.done():
                started = time.monotonic()
                async with session.get("/health") as response:
                    assert response.status == 200
                slowest = max(slowest, time.monotonic() - started)
                await asyncio.sleep(0.005)
        assert slowest < 0.5

    async def test_metrics_count_under_vllms_names(self, served: Served, tiny: TinyModel) -> None:
        await ask(served)
        await until(lambda: served.engine.loads["tiny"].running == 0)
        async with aiohttp.ClientSession(served.url) as session, session.get("/metrics") as response:
            text = await response.text()
        assert 'vllm:num_requests_running{model_name="tiny"} 0.0' in text
        assert 'vllm:generation_tokens_total{model_name="tiny"} 24.0' in text
        assert f'vllm:prompt_tokens_total{{model_name="tiny"}} {len(tiny.chat_ids(QUESTION))}.0' in text
