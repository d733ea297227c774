"""OpenAI's own Python client and its Responses API against the whole platform."""

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.llm_router.upstream import Upstream, cut_after, frame, hang_after_a_word, raw_stream

pytestmark = pytest.mark.e2e

MODEL = "simulated-small"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


class City(BaseModel):
    name: str
    inhabitants: int


def without_repeats(names: list[str]) -> list[str]:
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


def test_a_response_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": MODEL,
        "instructions": "Be brief.",
        "input": "Say hello",
        "temperature": 0.5,
        "metadata": {"topic": "greeting"},
    }
    whole = client.responses.create(**asked)
    assert whole.status == "completed"
    assert whole.output_text.startswith("[simulated]")
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens > 0
    assert (whole.instructions, whole.temperature, whole.metadata) == ("Be brief.", 0.5, {"topic": "greeting"})
    assert whole.id.startswith("resp_")
    assert whole._request_id

    with client.responses.create(**asked, stream=True) as stream:
        events = list(stream)
    assert without_repeats([event.type for event in events]) == TEXT_EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == whole.output_text
    assert last.response.usage == whole.usage
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == whole.output_text


def test_an_answer_that_is_cut_short_is_incomplete(client: openai.OpenAI) -> None:
    cut = client.responses.create(model=MODEL, input="Say hello", max_output_tokens=5)
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    with client.responses.create(model=MODEL, input="Say hello", max_output_tokens=5, stream=True) as stream:
        assert list(stream)[-1].type == "response.incomplete"


def test_an_answer_of_a_schema_becomes_an_object(client: openai.OpenAI) -> None:
    assert isinstance(client.responses.parse(model=MODEL, input="Bern", text_format=City).output_parsed, City)
    with client.responses.stream(model=MODEL, input="Bern", text_format=City) as stream:
        assert isinstance(stream.get_final_response().output_parsed, City)


def test_a_function_is_called_and_its_output_sent_back(client: openai.OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    options: dict[str, Any] = {"model": MODEL, "tools": [WEATHER], "tool_choice": "required"}
    called = client.responses.create(input=asked, **options)
    (call,) = called.output
    assert call.type == "function_call"
    assert set(json.loads(call.arguments)) == {"city"}
    said: list[Any] = [
        *asked,
        *called.output,
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
    ]
    assert client.responses.create(model=MODEL, input=said, tools=[WEATHER]).output_text

    with client.responses.stream(input=asked, **options) as stream:
        names = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert without_repeats(names) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    (again,) = streamed.output
    assert again.type == "function_call"
    assert (again.name, again.arguments) == ("weather", call.arguments)


async def test_what_is_asked_reaches_the_engine_as_a_chat(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    (name,) = engine.names()
    items: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": PIXEL, "detail": "low"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ]
    answer = await patient.responses.create(
        model=name,
        instructions="Look closely.",
        input=items,
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        parallel_tool_calls=False,
        max_output_tokens=99,
        top_p=0.9,
        top_logprobs=2,
        reasoning={"effort": "low"},
        store=False,
    )
    assert answer.output_text == "One two three"
    function = {name: WEATHER[name] for name in ("name", "description", "parameters", "strict")}
    calls = [
        {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        for call_id in ("call_1", "call_2")
    ]
    assert engine.requests == [
        {
            "model": name,
            "messages": [
                {"role": "system", "content": "Look closely."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    ],
                },
                {"role": "assistant", "content": "Let me see.", "tool_calls": calls},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
            "max_completion_tokens": 99,
            "top_p": 0.9,
            "logprobs": True,
            "top_logprobs": 2,
            "reasoning_effort": "low",
            "stream": False,
        }
    ]


async def test_reasoning_is_an_item_of_its_own(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    frames = [frame({"reasoning_content": "Hm, "}), frame({"reasoning_content": "well."}), frame({"content": "Yes"})]
    engine.faults.append(raw_stream(*frames, frame({}, "stop"), b"data: [DONE]\n\n"))
    async with patient.responses.stream(model=engine.names()[0], input="Really?") as stream:
        done = await stream.get_final_response()
    thought, said = done.output
    assert thought.type == "reasoning"
    assert [part.text for part in thought.content or ()] == ["Hm, well."]
    assert said.type == "message"
    assert done.output_text == "Yes"


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"store": True},
        {"background": True},
        {"conversation": "conv_1"},
        {"truncation": "auto"},
        {"include": ["file_search_call.results"]},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_what_the_platform_cannot_do_is_refused_by_name(fields: dict[str, Any], client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**{"model": MODEL, "input": "Hello", **fields})
    assert raised.value.code == "unsupported_parameter"
    assert raised.value.param is not None
    assert raised.value.param.startswith(next(iter(fields)))


def test_mistakes_are_the_client_s_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="nobody", input="Hello")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        textless: Any = {"role": "user", "content": [{"type": "input_text"}]}
        client.responses.create(model=MODEL, input=[textless])
    assert bad.value.param == "input[0].content[0].text"


async def test_a_stream_that_breaks_never_looks_finished(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    engine.faults.append(cut_after(frame({"role": "assistant", "content": ""}), frame({"content": "One"})))
    stream = await patient.responses.create(model=engine.names()[0], input="Count", stream=True)
    heard: list[Any] = []
    with pytest.raises(openai.APIError):
        async for event in stream:
            heard += [event]
    assert heard[-1].type == "response.failed"
    assert heard[-1].response.status == "failed"
    assert heard[-1].response.output_text == "One"
    assert "response.output_item.done" not in [event.type for event in heard]


async def test_closing_a_stream_stops_the_engine_within_a_second(patient: openai.AsyncOpenAI, engine: Upstream) -> None:
    engine.faults.append(hang_after_a_word)
    stream = await patient.responses.create(model=engine.names()[0], input="Count", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    async with asyncio.timeout(1):
        await engine.left.wait()
