"""The local engine over HTTP, asked with OpenAI's own client, against what transformers answers itself."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
import torch

from .asking import QUESTION, ask, load
from .conftest import CONTEXT_LENGTH, Serve, Served, TinyModel, make_model

MESSAGES: Any = [{"role": "user", "content": QUESTION}]


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

    @pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"type": "integer", "minimum": 2**70}])
    async def test_a_schema_it_cannot_follow_is_refused(self, served: Served, schema: Any) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
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
