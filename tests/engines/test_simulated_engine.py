"""The simulated engine over HTTP: both of its APIs, its pace, its failures, and that it says what it is."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import jsonschema_rs
import openai
import pytest

from engines.server import listening
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings
from engines.simulated.text import Author, Cut

MESSAGES: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what does the fox do"}]

Serve = Callable[..., AbstractAsyncContextManager[tuple[openai.AsyncOpenAI, aiohttp.ClientSession]]]


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def serving(**settings: Any) -> AsyncIterator[tuple[openai.AsyncOpenAI, aiohttp.ClientSession]]:
        async with (
            listening(build(SimulatedSettings(**settings)), "127.0.0.1", 0) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
            aiohttp.ClientSession(url) as session,
        ):
            yield client, session

    return serving


async def streamed(client: openai.AsyncOpenAI, **parameters: Any) -> list[Any]:
    stream = await client.chat.completions.create(
        model="simulated-small", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **parameters
    )
    return [chunk async for chunk in stream]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


class TestOpenAI:
    async def test_it_says_that_it_is_simulated(self, serve: Serve) -> None:
        async with serve(name="Simulated LLM 1 (small)") as (client, session):
            completion = await client.chat.completions.create(model="simulated-small", messages=MESSAGES)
            shortest = await client.chat.completions.create(model="simulated-small", messages=MESSAGES, max_tokens=1)
            card = (await client.models.retrieve("simulated-small")).model_dump()
            async with session.get("/info") as response:
                info = await response.json()
        content = completion.choices[0].message.content or ""
        assert content.startswith("[simulated] Simulated LLM 1 (small)")
        assert "no language model ran" in content
        assert shortest.choices[0].message.content == "[simulated]"
        assert card["owned_by"] == "simulated"
        assert card["metadata"]["simulated"] is True
        assert info["simulated"] is True

    async def test_the_same_prompt_gets_the_same_answer_streamed_or_not(self, serve: Serve) -> None:
        async with serve() as (client, _):
            whole = await client.chat.completions.create(model="simulated-small", messages=MESSAGES)
            chunks = await streamed(client)
        assert text_of(chunks) == whole.choices[0].message.content
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].usage == whole.usage
        assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
        assert whole.usage is not None
        assert whole.usage.prompt_tokens == 7
        assert len([chunk for chunk in chunks if chunk.choices]) == whole.usage.completion_tokens + 2

    async def test_other_prompts_get_other_answers(self, serve: Serve) -> None:
        async with serve() as (client, _):
            answers = [
                (await client.completions.create(model="simulated-small", prompt=prompt, max_tokens=64)).choices[0].text
                for prompt in ("one", "two")
            ]
        assert answers[0] != answers[1]

    async def test_limits_and_stop_texts_hold(self, serve: Serve) -> None:
        async with serve() as (client, _):
            short = await streamed(client, max_tokens=5)
            stopped = await streamed(client, stop=["no language"])
            long = await client.chat.completions.create(
                model="simulated-small", messages=MESSAGES, max_tokens=500, extra_body={"ignore_eos": True}
            )
        assert (short[-1].usage.completion_tokens, short[-2].choices[0].finish_reason) == (5, "length")
        assert text_of(stopped).endswith("; ")
        assert stopped[-2].choices[0].finish_reason == "stop"
        assert long.usage is not None
        assert long.usage.completion_tokens == 500

    async def test_another_model_is_not_found(self, serve: Serve) -> None:
        async with serve() as (client, _):
            with pytest.raises(openai.NotFoundError) as refused:
                await client.chat.completions.create(model="gpt-4", messages=MESSAGES)
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(model="simulated-small", messages=[])
        assert refused.value.code == "model_not_found"

    async def test_an_image_is_refused_by_name(self, serve: Serve) -> None:
        parts: Any = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
        async with serve() as (client, _):
            with pytest.raises(openai.BadRequestError, match="this model reads text alone, and no part") as no:
                await client.chat.completions.create(
                    model="simulated-small", messages=[{"role": "user", "content": parts}]
                )
        assert no.value.param == "messages.0.content"

    async def test_it_keeps_the_pace_it_was_given(self, serve: Serve) -> None:
        async with serve(latency=0.05, tokens_per_second=200) as (client, _):
            started = time.monotonic()
            stream = await client.chat.completions.create(
                model="simulated-small", messages=MESSAGES, stream=True, max_tokens=21
            )
            moments = [time.monotonic() - started async for chunk in stream if chunk.choices[0].delta.content]
        assert moments[0] >= 0.05
        assert moments[-1] - moments[0] >= 0.05
        assert moments[-1] < 1


class TestFailures:
    async def test_the_share_that_fails_is_chosen_by_the_seed(self, serve: Serve) -> None:
        async def outcomes(seed: int) -> list[bool]:
            async with serve(fail_rate=0.5, fail_seed=seed, fail_status=503) as (client, _):
                asked = [client.completions.create(model="simulated-small", prompt="x") for _ in range(20)]
                return [isinstance(await outcome, Exception) for outcome in map(caught, asked)]

        async def caught(asking: Any) -> Any:
            try:
                return await asking
            except openai.InternalServerError as error:
                assert (error.status_code, error.code) == (503, "simulated_failure")
                return error

        first = await outcomes(1)
        assert 3 < sum(first) < 17
        assert await outcomes(1) == first
        assert await outcomes(2) != first

    async def test_a_stream_is_cut_off_after_some_tokens(self, serve: Serve) -> None:
        received: list[bytes] = []
        async with serve(fail_rate=1, fail_after_tokens=3) as (_, session):
            body = {"model": "simulated-small", "messages": MESSAGES, "stream": True}
            with pytest.raises(aiohttp.ClientError):
                async with session.post("/v1/chat/completions", json=body) as response:
                    async for line in response.content:
                        received.append(line)  # noqa: PERF401 - what came before the end counts
        text = b"".join(received)
        assert text.count(b'"content":') == 4, "the role, then three tokens"
        assert b"[DONE]" not in text

    async def test_a_whole_answer_fails_after_its_time(self, serve: Serve) -> None:
        async with serve(fail_rate=1, fail_after_tokens=3) as (client, _):
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(model="simulated-small", messages=MESSAGES)


class TestKoboldAI:
    async def test_it_says_what_it_is(self, serve: Serve) -> None:
        async with serve() as (_, session):
            answers = {}
            for path in ("/api/v1/model", "/api/v1/info/version", "/api/extra/version"):
                async with session.get(path) as response:
                    answers[path] = await response.json()
        assert answers["/api/v1/model"]["result"] == "simulated-small"
        assert answers["/api/extra/version"]["result"] == "KoboldCpp"
        assert all(answer["simulated"] is True for answer in answers.values())

    async def test_a_text_is_generated_whole_and_streamed(self, serve: Serve) -> None:
        body = {"prompt": "what does the fox do", "max_length": 30, "rep_pen": 1.1}
        async with serve() as (_, session):
            async with session.post("/api/v1/generate", json=body) as response:
                result = (await response.json())["results"][0]
            async with session.post("/api/extra/generate/stream", json=body) as response:
                events = (await response.text()).strip().split("\n\n")
        assert result["text"].startswith("[simulated]")
        assert (result["prompt_tokens"], result["completion_tokens"], result["finish_reason"]) == (5, 30, "length")
        assert all(event.startswith("event: message\ndata: ") for event in events)
        frames = [json.loads(event.partition("data: ")[2]) for event in events]
        assert "".join(frame["token"] for frame in frames) == result["text"]
        assert [frame["finish_reason"] for frame in frames] == [None] * 30 + ["length"]

    async def test_an_abort_ends_the_generation_with_what_there_is(self, serve: Serve) -> None:
        body = {"prompt": "x", "max_length": 50, "genkey": "mine"}
        async with serve(tokens_per_second=2) as (_, session):
            generating = asyncio.create_task(session.post("/api/v1/generate", json=body))
            success = "false"
            while success == "false":
                async with session.post("/api/extra/abort", json={"genkey": "mine"}) as response:
                    success = (await response.json())["success"]
            async with asyncio.timeout(1), await generating as response:
                result = (await response.json())["results"][0]
        assert 0 <= result["completion_tokens"] < 5

    async def test_errors_have_its_own_form(self, serve: Serve) -> None:
        async with serve(fail_rate=1) as (_, session):
            async with session.post("/api/v1/generate", json={"prompt": 5}) as response:
                assert response.status == 422
                assert "prompt" in (await response.json())["detail"]["msg"]
            async with session.post("/api/v1/generate", json={"prompt": "x"}) as response:
                assert response.status == 500
                assert (await response.json())["detail"]["type"] == "server_error"


def test_an_answer_has_the_length_that_is_asked_for() -> None:
    author = Author("anyone")
    for limit in (1, 2, 10, 100, 1000):
        reply = author.write("a prompt", "a prompt", Cut(limit, ignore_end=True))
        assert len(reply.tokens) == limit
        assert len(reply.text.split()) == limit
        assert reply.reason == "length"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 30},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
        "score": {"type": "number", "exclusiveMinimum": 3},
        "parent": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        "both": {"allOf": [{"$ref": "#/$defs/tag"}, {"required": ["weight"]}]},
    },
    "required": ["title", "tags", "score"],
    "additionalProperties": False,
    "$defs": {
        "tag": {
            "type": "object",
            "properties": {"name": {"enum": ["a", "b"]}, "weight": {"type": "integer", "minimum": 2}},
            "required": ["name"],
        }
    },
}


class TestWhatOpenAICanDo:
    async def test_json_of_a_schema_says_that_it_is_simulated(self, serve: Serve) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "post", "schema": SCHEMA}}
        async with serve() as (client, _):
            answer = await client.chat.completions.create(
                model="simulated-small", messages=MESSAGES, response_format=wanted
            )
            streamed_text = text_of(await streamed(client, response_format=wanted))
            cut = await client.chat.completions.create(
                model="simulated-small", messages=MESSAGES, response_format=wanted, max_tokens=3
            )
        content = answer.choices[0].message.content or ""
        value = json.loads(content)
        jsonschema_rs.validate(SCHEMA, value)
        assert value["title"].startswith("[simulated] title")
        assert streamed_text == content
        assert cut.choices[0].finish_reason == "length"

    async def test_a_schema_may_have_numbers_of_any_size(self, serve: Serve) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": 2**70}}}
        async with serve() as (client, _):
            assert json.loads(text_of(await streamed(client, response_format=wanted))) == 2**70

    async def test_a_schema_without_an_end_or_a_meaning_is_refused(self, serve: Serve) -> None:
        async with serve() as (client, _):
            nowhere = ({"$ref": "#"}, {"$ref": "https://example.com/x"}, {"anyOf": [5]})
            for schema in (*nowhere, {"type": "strin"}, {"type": "array", "minItems": "two"}):
                wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
                with pytest.raises(openai.BadRequestError):
                    await client.chat.completions.create(
                        model="simulated-small", messages=MESSAGES, response_format=wanted
                    )

    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "search"}}])
    async def test_a_tool_that_must_be_called_is_called(self, serve: Serve, choice: Any) -> None:
        tools: Any = [
            {
                "type": "function",
                "function": {
                    "name": "search",
                    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
                },
            }
        ]
        async with serve() as (client, _):
            free = await client.chat.completions.create(model="simulated-small", messages=MESSAGES, tools=tools)
            forced = await client.chat.completions.create(
                model="simulated-small", messages=MESSAGES, tools=tools, tool_choice=choice
            )
            chunks = await streamed(client, tools=tools, tool_choice=choice)
        assert free.choices[0].message.tool_calls is None
        (call,) = forced.choices[0].message.tool_calls or ()
        assert (call.function.name, json.loads(call.function.arguments)) == ("search", {"query": "[simulated] query"})
        assert forced.choices[0].finish_reason == chunks[-2].choices[0].finish_reason == "tool_calls"
        assert chunks[1].choices[0].delta.tool_calls[0].function.name == "search"

    async def test_several_choices_differ_and_keep_their_places(self, serve: Serve) -> None:
        async with serve() as (client, _):
            answer = await client.chat.completions.create(model="simulated-small", messages=MESSAGES, n=2)
            chunks = await streamed(client, n=2)
            texts = await client.completions.create(model="simulated-small", prompt=["a", "b"], n=2, logprobs=1)
        said = [choice.message.content for choice in answer.choices]
        assert len(set(said)) == 2
        for index in (0, 1):
            parts = [c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == index]
            assert "".join(parts) == said[index]
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, chunks[-1].usage) == (7, answer.usage)
        assert [choice.index for choice in texts.choices] == [0, 1, 2, 3]
        assert texts.usage is not None
        assert texts.usage.prompt_tokens == 2
        told = texts.choices[0].logprobs
        assert told is not None
        assert "".join(told.tokens or ()) == texts.choices[0].text

    async def test_vectors_are_the_same_every_time_and_say_what_they_are(self, serve: Serve) -> None:
        async with serve() as (client, _):
            got = await client.embeddings.create(
                model="simulated-small", input=["the fox", "the fox jumps", "unlike"], dimensions=32
            )
            numbers = await client.embeddings.create(model="simulated-small", input="the fox", encoding_format="float")
        first, near, far = (item.embedding for item in got.data)
        assert len(first) == 32
        assert sum(a * b for a, b in zip(first, near, strict=True)) > 0.5
        assert abs(sum(a * b for a, b in zip(first, far, strict=True))) < 0.5
        assert len(numbers.data[0].embedding) == 64
        assert got.model_dump()["system_fingerprint"] == "simulated"
