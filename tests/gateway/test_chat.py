"""OpenAI's own client against the gateway: completions whole and streamed, failures, and clients that go away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest

from contracts.base import RefusalCode, Refused
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, LIST_SERVED_MODELS, Chat, ChatDelta, ChatReply, ServedModels
from tests.gateway.conftest import ADMIN_KEY, Gateway
from tests.gateway.peers import REPLY, Peers, served

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
BODY = {"model": "m", "messages": HELLO, "stream": True}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ADMIN_KEY, max_retries=0) as opened:
        yield opened


async def two_words(_: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
    for word in ("Hello", " there"):
        yield ChatDelta(content=word)
    yield REPLY


async def test_a_completion(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    answer = await client.chat.completions.create(model="m", messages=HELLO, temperature=0.5, extra_body={"top_k": 3})
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.model_dump(exclude_none=True) == USAGE
    asked = peers.asked(CHAT_COMPLETE)
    assert (asked.model, asked.temperature, asked.route, asked.extra) == ("m", 0.5, "chat", {"top_k": 3})
    assert [subject for subject, *_ in peers.heard] == [CHAT_COMPLETE.subject]


async def test_a_conversation_goes_on_with_the_answer_s_own_message(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    answer = await client.chat.completions.create(model="m", messages=HELLO)
    await client.chat.completions.create(model="m", messages=[*HELLO, answer.choices[0].message, *HELLO])
    assert [message.role for message in peers.asked(CHAT_COMPLETE).messages] == ["user", "assistant", "user"]


async def test_a_streamed_completion(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.stream(CHAT_STREAM, two_words)
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "Hello", " there", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


async def test_a_streamed_completion_with_usage(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.stream(CHAT_STREAM, two_words)
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.model_dump(exclude_none=True) == USAGE


async def test_what_is_on_the_wire(gateway: Gateway, peers: Peers) -> None:
    peers.stream(CHAT_STREAM, two_words)
    status, text, headers = await gateway.call("POST", "/v1/chat/completions", json=BODY)
    assert status == 200
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Cache-Control"].startswith("no-cache")
    *events, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [orjson.loads(event.removeprefix("data: ")) for event in events]
    assert all(chunk["object"] == "chat.completion.chunk" and "usage" not in chunk for chunk in chunks)
    assert chunks[0]["choices"][0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }


async def test_streamed_tool_calls(client: openai.AsyncOpenAI, peers: Peers) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    async def calling(_: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
        yield ChatDelta(tool_calls=[call])
        yield REPLY.model_copy(update={"content": "", "tool_calls": [call], "finish_reason": "tool_calls"})

    peers.stream(CHAT_STREAM, calling)
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    tool_calls = chunks[1].choices[0].delta.tool_calls
    assert tool_calls is not None
    assert tool_calls[0].function is not None
    assert tool_calls[0].function.name == "f"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_what_its_client_expects(
    stream: bool, client: openai.AsyncOpenAI, peers: Peers
) -> None:
    refusal = Refused(RefusalCode.NOT_FOUND, "The model 'm' does not exist")
    peers.answer(CHAT_COMPLETE, refusal)
    peers.answer(CHAT_STREAM, refusal)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError) as raised:
        await client.chat.completions.create(model="m", messages=HELLO, stream=stream)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert raised.value.request_id


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (RefusalCode.INVALID, openai.BadRequestError),
        (RefusalCode.RATE_LIMITED, openai.RateLimitError),
        (RefusalCode.ENGINE_FAILED, openai.InternalServerError),
        (RefusalCode.ENGINE_UNAVAILABLE, openai.InternalServerError),
        (RefusalCode.TIMEOUT, openai.InternalServerError),
    ],
)
async def test_refusals_are_its_client_s_exceptions(
    code: RefusalCode, expected: type[openai.APIStatusError], client: openai.AsyncOpenAI, peers: Peers
) -> None:
    peers.answer(CHAT_COMPLETE, Refused(code, "No"))
    with pytest.raises(expected, match="No"):
        await client.chat.completions.create(model="m", messages=HELLO)


async def test_a_wrong_key_is_its_client_s_exception(gateway: Gateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="m", messages=HELLO)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"temperature": 9}, "temperature"),
        ({"messages": [{"role": "pope", "content": "a"}]}, "messages.0.role"),
        ({"stop": ["a"] * 17}, "stop"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(
    fields: dict[str, Any], param: str, gateway: Gateway, peers: Peers
) -> None:
    status, body, _ = await gateway.call(
        "POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO} | fields
    )
    assert status == 400
    assert (body["error"]["type"], body["error"]["param"]) == ("invalid_request_error", param)
    assert not peers.heard


async def broken(_: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
    yield ChatDelta(content="Hel")
    raise Refused(RefusalCode.ENGINE_FAILED, "The engine broke off")


async def test_a_stream_that_breaks_half_way_raises_in_its_client(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.stream(CHAT_STREAM, broken)
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        _ = [chunk async for chunk in stream]


async def test_a_stream_that_breaks_half_way_does_not_look_finished(gateway: Gateway, peers: Peers) -> None:
    peers.stream(CHAT_STREAM, broken)
    status, text, _ = await gateway.call("POST", "/v1/chat/completions", json=BODY)
    assert status == 200
    assert "[DONE]" not in text
    last = orjson.loads(text.rstrip().rsplit("data: ", 1)[1])
    assert last == {
        "error": {"message": "The engine broke off", "type": "server_error", "param": None, "code": "engine_failed"}
    }


async def test_a_crash_half_way_tells_nothing_of_its_inside(gateway: Gateway, peers: Peers) -> None:
    async def crashing(_: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
        yield ChatDelta(content="Hel")
        raise RuntimeError("hunter2")

    peers.stream(CHAT_STREAM, crashing)
    _, text, _ = await gateway.call("POST", "/v1/chat/completions", json=BODY)
    assert '"code":"internal_error"' in text
    assert "hunter2" not in text
    assert "[DONE]" not in text


@pytest.mark.parametrize("words", [0, 1])
async def test_a_client_that_goes_away_stops_the_generation(words: int, gateway: Gateway, peers: Peers) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def endless(_: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
        try:
            for _ in range(words):
                yield ChatDelta(content="word")
            started.set()
            await asyncio.sleep(60)
            yield REPLY
        finally:
            stopped.set()

    peers.stream(CHAT_STREAM, endless)
    call = asyncio.create_task(gateway.call("POST", "/v1/chat/completions", json=BODY))
    await asyncio.wait_for(started.wait(), 5)
    call.cancel()
    await asyncio.wait_for(stopped.wait(), 3)


async def test_models_are_listed_and_found_by_name(client: openai.AsyncOpenAI, peers: Peers) -> None:
    peers.answer(LIST_SERVED_MODELS, ServedModels(models=[served("simulated-small"), served("org/base", number=2)]))
    assert [model.id async for model in client.models.list()] == ["simulated-small", "org/base"]
    found = await client.models.retrieve("org/base")
    assert found.model_dump(exclude_unset=True) == {
        "id": "org/base",
        "object": "model",
        "created": 1767323045,
        "owned_by": "local",
    }
    with pytest.raises(openai.NotFoundError) as raised:
        await client.models.retrieve("nothing")
    assert raised.value.code == "model_not_found"


async def test_a_model_is_found_with_an_unescaped_slash(gateway: Gateway, peers: Peers) -> None:
    peers.answer(LIST_SERVED_MODELS, ServedModels(models=[served("org/base")]))
    assert (await gateway.get("/v1/models/org/base"))["id"] == "org/base"
