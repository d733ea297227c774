"""OpenAI's own Python client against the whole platform, with nothing but a base URL and a key.

The simulated engine answers where any answer will do; an engine of the test's own, registered at run time, where it
matters what reaches an engine, or that it fails.
"""

import asyncio
import json
import time
import uuid
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.llm_router.upstream import Upstream, cut_after, frame, hang_after_a_word, status

pytestmark = pytest.mark.e2e

MODEL = "simulated-small"
HELLO: list[Any] = [{"role": "user", "content": "Say hello to everyone who reads this"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class City(BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


def test_a_chat_whole_and_streamed(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, seed=7, max_tokens=40)
    whole = raw.parse()
    text = whole.choices[0].message.content
    assert text
    assert text.startswith("[simulated]")
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole._request_id == raw.headers["x-request-id"]
    assert int(raw.headers["x-ratelimit-remaining"]) < int(raw.headers["x-ratelimit-limit"])
    assert int(raw.headers["x-ratelimit-reset"]) > time.time()

    with client.chat.completions.create(
        model=MODEL, messages=HELLO, seed=7, max_tokens=40, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert (last.choices, last.usage) == ([], whole.usage)


def test_stop_logprobs_and_several_choices(client: openai.OpenAI) -> None:
    stopped = client.chat.completions.create(model=MODEL, messages=HELLO, stop=" prompt")
    assert stopped.choices[0].message.content == "[simulated] Simulated LLM 1 (small) received a"
    assert stopped.choices[0].finish_reason == "stop"
    cut = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=5)
    assert cut.choices[0].finish_reason == "length"

    likely = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=5, logprobs=True, top_logprobs=2)
    assert likely.choices[0].logprobs is not None
    tokens = [entry.token for entry in likely.choices[0].logprobs.content or ()]
    assert tokens == ["[simulated]", " Simulated", " LLM", " 1", " (small)"]

    several = client.chat.completions.create(model=MODEL, messages=HELLO, n=3)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in several.choices}) == 3


def test_an_answer_of_a_schema_becomes_an_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


def test_the_tool_that_is_asked_for_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert set(json.loads(call.function.arguments)) == {"city"}
    said: list[Any] = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert client.chat.completions.create(model=MODEL, messages=said).choices[0].message.content

    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="required") as events:
        streamed = events.get_final_completion()
    (again,) = streamed.choices[0].message.tool_calls or []
    assert again.function.name == "weather"
    assert again.function.arguments == call.function.arguments


async def test_what_is_asked_reaches_the_engine_as_it_was_sent(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    (name,) = engine.names()
    look: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            ],
        }
    ]
    answer = await patient.chat.completions.create(
        model=name,
        messages=look,
        tools=[WEATHER],
        tool_choice="auto",
        parallel_tool_calls=False,
        temperature=0.3,
        top_p=0.9,
        seed=11,
        stop=["END"],
        logprobs=True,
        top_logprobs=3,
        frequency_penalty=0.5,
        user="somebody",
        extra_body={"top_k": 40},
    )
    assert answer.choices[0].message.content == "One two three"
    (sent,) = engine.requests
    assert sent == {
        "model": name,
        "messages": look,
        "tools": [WEATHER],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 11,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 3,
        "frequency_penalty": 0.5,
        "user": "somebody",
        "top_k": 40,
        "stream": False,
    }
    assert engine.headers[0]["Authorization"] == "Bearer engine-key"


def test_texts_embeddings_and_models(client: openai.OpenAI) -> None:
    texts = client.completions.create(model=MODEL, prompt=["Once", "Twice"], max_tokens=8)
    assert [choice.index for choice in texts.choices] == [0, 1]
    assert texts.usage is not None
    assert texts.usage.completion_tokens == 16
    with client.completions.create(model=MODEL, prompt="Once", max_tokens=8, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == texts.choices[0].text

    vectors = client.embeddings.create(model=MODEL, input=["one", "two", "one"])
    assert [item.index for item in vectors.data] == [0, 1, 2]
    assert vectors.data[0].embedding == vectors.data[2].embedding != vectors.data[1].embedding
    as_numbers = client.embeddings.create(model=MODEL, input="one", encoding_format="float")
    assert as_numbers.data[0].embedding == pytest.approx(vectors.data[0].embedding)

    listed = {model.id: model for model in client.models.list()}
    assert client.models.retrieve(MODEL) == listed[MODEL]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_mistakes_are_the_client_s_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=HELLO)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=HELLO, temperature=3)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(openai.AuthenticationError) as stranger:
        client.with_options(api_key="wrong").models.list()
    assert stranger.value.code == "invalid_api_key"


async def test_a_caller_over_the_limit_is_told_when_to_come_back(platform: Platform, caller: Caller) -> None:
    made = await caller.post("/api/v1/keys", {"name": "two a minute", "requests_per_minute": 2})
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=made["key"], max_retries=0) as limited:
        with pytest.raises(openai.RateLimitError) as raised:
            for _ in range(5):  # A new minute may begin meanwhile.
                await limited.models.list()
    assert raised.value.code == "rate_limit_exceeded"
    headers = raised.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 60
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("2", "0")
    await caller.call("DELETE", f"/api/v1/keys/{made['key_id']}")


async def test_the_client_waits_as_long_as_the_engine_wishes(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    engine.faults.append(status(429, "slow down", retry_after="6"))  # Longer than the router itself would wait.
    started = time.monotonic()
    answer = await patient.chat.completions.create(model=engine.names()[0], messages=HELLO)
    assert answer.choices[0].message.content == "One two three"
    assert 6 <= time.monotonic() - started < 10
    assert len(engine.requests) == 2


async def test_a_completion_is_made_once_for_its_key(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    (name,) = engine.names()
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = await patient.chat.completions.create(model=name, messages=HELLO, extra_headers=headers)
    again = await patient.chat.completions.create(model=name, messages=HELLO, extra_headers=headers)
    assert again == first
    assert len(engine.requests) == 1
    with pytest.raises(openai.ConflictError):
        await patient.with_options(max_retries=0).chat.completions.create(
            model=name, messages=[*HELLO, *HELLO], extra_headers=headers
        )


async def test_a_stream_that_breaks_never_looks_finished(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    engine.faults.append(cut_after(frame({"role": "assistant", "content": ""}), frame({"content": "One"})))
    stream = await patient.chat.completions.create(model=engine.names()[0], messages=HELLO, stream=True)
    heard = ""
    with pytest.raises(openai.APIError):
        async for chunk in stream:
            heard += chunk.choices[0].delta.content or ""
            assert chunk.choices[0].finish_reason is None
    assert heard == "One"


async def test_closing_a_stream_stops_the_engine_within_a_second(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    engine.faults.append(hang_after_a_word)
    stream = await patient.chat.completions.create(model=engine.names()[0], messages=HELLO, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    assert not engine.left.is_set()
    await stream.close()
    async with asyncio.timeout(1):
        await engine.left.wait()


async def test_many_at_once(patient: openai.AsyncOpenAI) -> None:
    async def ask(number: int) -> str:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        async with patient.chat.completions.stream(model=MODEL, messages=messages) as events:
            return (await events.get_final_completion()).choices[0].message.content or ""

    answers = await asyncio.gather(*map(ask, range(20)))
    assert all(f"number {number}" in answer for number, answer in enumerate(answers))
