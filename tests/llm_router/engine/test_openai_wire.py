"""OpenAI's API as bytes."""

import base64
import struct

import orjson
import pytest

from contracts.router import Chat, ChatDelta, ChatMessage, TextCompletion, Usage
from llm_router.domain.engines import Answer, ModelCard
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.openai_stream import EventLines, StreamedAnswer
from llm_router.engine.openai_wire import (
    read_answer,
    read_error,
    read_models,
    read_vectors,
    request_body,
    retry_after_seconds,
)

HELLO = ChatMessage(role="user", content="Hello")


def body_of(chat: Chat, *, stream: bool = False) -> dict[str, object]:
    body: dict[str, object] = orjson.loads(request_body(chat, "engine-model", stream=stream))
    return body


class TestRequests:
    def test_only_what_was_asked_is_sent(self) -> None:
        assert body_of(Chat(model="m", messages=[HELLO])) == {
            "model": "engine-model",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": False,
        }

    def test_parameters_and_extras_are_passed_on(self) -> None:
        chat = Chat(model="m", messages=[HELLO], temperature=0, stop=["x"], extra={"logit_bias": {"1": 1}})
        body = body_of(chat)
        assert body["temperature"] == 0
        assert body["stop"] == ["x"]
        assert body["logit_bias"] == {"1": 1}

    def test_extras_never_replace_what_the_contract_names(self) -> None:
        chat = Chat(model="m", messages=[HELLO], extra={"model": "x", "messages": [], "stream": True})
        body = body_of(chat)
        assert body["model"] == "engine-model"
        assert body["messages"]
        assert body["stream"] is False

    def test_the_newer_name_of_max_tokens_is_for_hosted_models_alone(self) -> None:
        chat = Chat(model="m", messages=[HELLO], max_tokens=5, extra={"max_completion_tokens": 5})
        assert body_of(chat)["max_tokens"] == 5
        hosted = orjson.loads(request_body(chat, "m", stream=False, hosted=True))
        assert ("max_tokens" in hosted, hosted["max_completion_tokens"]) == (False, 5)

    def test_a_text_has_a_prompt_and_no_messages(self) -> None:
        body = orjson.loads(request_body(TextCompletion(model="m", prompt=["a", "b"], n=2), "e", stream=False))
        assert body == {"model": "e", "prompt": ["a", "b"], "n": 2, "stream": False}

    def test_a_stream_always_asks_for_its_usage(self) -> None:
        chat = Chat(model="m", messages=[HELLO], extra={"stream_options": {"include_usage": False, "other": 1}})
        assert body_of(chat, stream=True)["stream_options"] == {"include_usage": True, "other": 1}
        assert "stream_options" not in body_of(chat)

    def test_parts_and_tool_calls_are_passed_through(self) -> None:
        parts = [{"type": "image_url", "image_url": {"url": "data:"}}]
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        chat = Chat(
            model="m",
            messages=[ChatMessage(role="user", content=parts), ChatMessage(role="assistant", tool_calls=[call])],
        )
        assert body_of(chat)["messages"] == [
            {"role": "user", "content": parts},
            {"role": "assistant", "tool_calls": [call]},
        ]


class TestAnswers:
    def test_an_answer_is_read(self) -> None:
        data = (
            b'{"id":"c1","choices":[{"message":{"content":"Hi"},"finish_reason":"length"}],'
            b'"usage":{"prompt_tokens":1,"completion_tokens":2}}'
        )
        usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
        assert read_answer(data) == Answer("c1", "Hi", None, "length", usage)

    def test_counts_that_cannot_be_are_none(self) -> None:
        data = {"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": -1, "completion_tokens": 2**31}}
        assert read_answer(orjson.dumps(data)).usage == Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)

    def test_several_choices_come_in_their_order(self) -> None:
        data = (
            b'{"choices":[{"index":1,"text":"b","finish_reason":"stop"},'
            b'{"index":0,"text":"a","finish_reason":"length","logprobs":{"tokens":["a"]}}]}'
        )
        answer = read_answer(data)
        assert (answer.content, answer.finish_reason, answer.logprobs) == ("a", "length", {"tokens": ["a"]})
        assert [(other.content, other.finish_reason) for other in answer.others] == [("b", "stop")]

    def test_what_the_platform_does_not_read_is_handed_on(self) -> None:
        data = b'{"choices":[{"message":{"role":"assistant","content":null,"refusal":"No","audio":null}}]}'
        assert read_answer(data).extra == {"refusal": "No"}

    def test_embeddings_are_base64_however_they_come(self) -> None:
        told = struct.pack("<2f", 1.0, -0.5)
        as_numbers = b'{"data":[{"index":0,"embedding":[1.0,-0.5]}],"usage":{"prompt_tokens":2}}'
        as_base64 = orjson.dumps({"data": [{"index": 0, "embedding": base64.b64encode(told).decode()}]})
        for data in (as_numbers, as_base64):
            assert [base64.b64decode(vector) for vector in read_vectors(data, 1).vectors] == [told]
        assert read_vectors(as_numbers, 1).usage.prompt_tokens == 2

    @pytest.mark.parametrize(
        "data",
        [
            b"{}",
            b'{"data":[]}',
            b'{"data":[{"index":0,"embedding":"AAA="}]}',
            b'{"data":[{"index":0}]}',
            b'{"data":[{"index":0,"embedding":[1e300]}]}',
        ],
    )
    def test_what_is_no_embedding_is_an_invalid_answer(self, data: bytes) -> None:
        with pytest.raises(EngineFailure) as caught:
            read_vectors(data, 1)
        assert caught.value.kind is FailureKind.INVALID_ANSWER

    def test_a_tool_call_has_no_content(self) -> None:
        data = b'{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}'
        answer = read_answer(data)
        assert answer.content == ""
        assert answer.tool_calls == [{"id": "1"}]
        assert answer.id.startswith("chatcmpl-")
        assert answer.usage.total_tokens == 0

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b'{"choices":[]}',
            b'{"choices":[1]}',
            b'{"choices":[{}]}',
            b'{"choices":[{"message":{"content":["Hi"]}}]}',
            b'{"choices":[{"message":{"tool_calls":[5]}}]}',
            b"\xff\xfe",
            b"null",
        ],
    )
    def test_garbage_is_an_invalid_answer(self, data: bytes) -> None:
        with pytest.raises(EngineFailure) as caught:
            read_answer(data)
        assert caught.value.kind is FailureKind.INVALID_ANSWER

    def test_models_come_with_what_vllm_tells_of_them(self) -> None:
        data = orjson.dumps(
            {
                "data": [
                    {"id": "a", "max_model_len": 128, "metadata": {"simulated": True}},
                    {"id": "b", "parent": "a", "max_model_len": None},
                    {"name": "no id"},
                    "no object",
                    {"id": "c", "max_model_len": 2**31, "parent": "\0"},
                    *({"id": name} for name in ("", "x" * 301, "a\0b")),
                ]
            }
        )
        assert read_models(data) == [
            ModelCard("a", 128, None, simulated=True),
            ModelCard("b", None, "a"),
            ModelCard("c"),
        ]

    def test_a_list_without_models_is_an_invalid_answer(self) -> None:
        with pytest.raises(EngineFailure):
            read_models(b'{"object":"list"}')


class TestStreams:
    def test_lines_are_found_however_the_bytes_arrive(self) -> None:
        data = b'data: {"a":1}\n\n: ping\r\nevent: x\ndata:{"b":2}\r\n\ndata: [DONE]\n\n'
        lines = EventLines()
        found = [payload for i in range(len(data)) for payload in lines.feed(data[i : i + 1])]
        assert found == EventLines().feed(data) == [b'{"a":1}', b'{"b":2}', b"[DONE]"]

    def test_a_long_line_in_many_parts_costs_its_length_once(self) -> None:
        lines = EventLines()
        data = b"data: " + b"x" * 7_900_000 + b"\n\ndata: y\n"
        # At the price of its whole length for each part this would take most of a minute.
        found = [payload for start in range(0, len(data), 700) for payload in lines.feed(data[start : start + 700])]
        assert found == [b"x" * 7_900_000, b"y"]

    def test_a_line_without_an_end_is_not_collected_for_ever(self) -> None:
        lines = EventLines()
        with pytest.raises(EngineFailure):
            for _ in range(10):
                lines.feed(b"x" * 1024 * 1024)

    def test_pieces_make_the_whole_with_reason_and_usage(self) -> None:
        answer = StreamedAnswer()
        frames = [
            b'{"id":"c1","choices":[{"delta":{"role":"assistant","content":""}}]}',
            b'{"id":"c1","choices":[{"delta":{"content":"He"}}]}',
            b'{"id":"c1","choices":[{"delta":{"content":"llo"},"finish_reason":null}]}',
            b'{"id":"c1","choices":[{"delta":{},"finish_reason":"stop"}]}',
            b'{"id":"c1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
            b"[DONE]",
        ]
        assert [delta for frame in frames for delta in answer.take(frame)] == [
            ChatDelta(content="He"),
            ChatDelta(content="llo"),
        ]
        assert answer.ended
        assert answer.done
        whole = answer.whole()
        assert (whole.id, whole.content, whole.finish_reason, whole.usage.total_tokens) == ("c1", "Hello", "stop", 3)

    def test_tool_calls_are_put_together_by_index(self) -> None:
        answer = StreamedAnswer()
        for calls in (
            [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
            [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
            [{"index": 0, "function": {"arguments": '{"x":'}}],
            [{"index": 0, "function": {"arguments": "1}"}}],
        ):
            (delta,) = answer.take(orjson.dumps({"choices": [{"delta": {"tool_calls": calls}}]}))
            assert delta == {"tool_calls": calls}
        assert answer.whole().tool_calls == [
            {"type": "function", "function": {"name": "f", "arguments": '{"x":1}'}, "id": "a"},
            {"type": "function", "function": {"name": "g", "arguments": "{}"}, "id": "b"},
        ]

    def test_tool_calls_that_an_engine_does_not_number_are_numbered(self) -> None:
        answer = StreamedAnswer()
        pieces = [
            (0, {"id": "a", "function": {"name": "f", "arguments": "{"}}),
            (0, {"function": {"arguments": "}"}}),
            (1, {"id": "b", "index": None}),
        ]
        for number, call in pieces:
            (delta,) = answer.take(orjson.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}))
            assert delta == {"tool_calls": [{**call, "index": number}]}
        told = [(call["id"], call["function"]["arguments"]) for call in answer.whole().tool_calls or ()]
        assert told == [("a", "{}"), ("b", "")]

    def test_choices_are_told_apart_by_index(self) -> None:
        answer = StreamedAnswer(choices=2)
        frames = (
            b'{"choices":[{"index":1,"delta":{"content":"B","reasoning_content":"hm"}}]}',
            b'{"choices":[{"index":0,"delta":{"content":"A"},"logprobs":{"content":[1]}}]}',
            b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[2]},"finish_reason":"stop"}]}',
        )
        deltas = [delta for frame in frames for delta in answer.take(frame)]
        assert deltas == [
            {"index": 1, "content": "B", "extra": {"reasoning_content": "hm"}},
            {"content": "A", "logprobs": {"content": [1]}},
            {"content": "a", "logprobs": {"content": [2]}},
        ]
        assert not answer.ended
        answer.take(b'{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}')
        assert answer.ended
        whole = answer.whole()
        assert (whole.content, whole.finish_reason, whole.logprobs) == ("Aa", "stop", {"content": [1, 2]})
        (other,) = whole.others
        assert (other.content, other.finish_reason, other.extra) == ("B", "length", {"reasoning_content": "hm"})

    def test_texts_come_without_a_delta(self) -> None:
        answer = StreamedAnswer()
        assert answer.take(b'{"choices":[{"index":0,"text":"Hi"}]}') == [ChatDelta(content="Hi")]
        answer.take(b'{"choices":[{"index":0,"text":"","finish_reason":"stop"}]}')
        assert (answer.ended, answer.whole().content) == (True, "Hi")

    def test_an_error_in_a_stream_is_a_failure(self) -> None:
        frame = b'{"error":{"message":"out of memory","type":"server_error","code":null}}'
        with pytest.raises(EngineFailure, match="out of memory") as caught:
            StreamedAnswer().take(frame)
        assert caught.value.kind is FailureKind.ENGINE_ERROR

    @pytest.mark.parametrize(
        "frame",
        [
            b"nonsense",
            b'{"choices":[1]}',
            b'{"choices":[{"delta":{"content":5}}]}',
            b'{"choices":[{"delta":{"tool_calls":[{"index":"a"}]}}]}',
        ],
    )
    def test_a_frame_that_makes_no_sense_is_an_invalid_answer(self, frame: bytes) -> None:
        with pytest.raises(EngineFailure) as caught:
            StreamedAnswer().take(frame)
        assert caught.value.kind is FailureKind.INVALID_ANSWER


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "error", "kind"),
        [
            (400, {"message": "bad temperature"}, FailureKind.INVALID_REQUEST),
            (422, {"message": "bad"}, FailureKind.INVALID_REQUEST),
            (400, {"message": "x", "code": "context_length_exceeded"}, FailureKind.CONTEXT_LENGTH),
            (400, {"message": "This model's maximum context length is 8 tokens"}, FailureKind.CONTEXT_LENGTH),
            (401, {"message": "Incorrect API key provided: sk-1"}, FailureKind.AUTHENTICATION),
            (403, {"message": "no"}, FailureKind.AUTHENTICATION),
            (404, {"message": "x", "code": "model_not_found"}, FailureKind.MODEL_NOT_FOUND),
            (404, {"message": "The model `x` does not exist."}, FailureKind.MODEL_NOT_FOUND),
            (404, {"message": "Not Found"}, FailureKind.INVALID_ANSWER),
            (429, {"message": "slow down"}, FailureKind.RATE_LIMITED),
            (429, {"message": "x", "code": "insufficient_quota"}, FailureKind.QUOTA),
            (500, {"message": "x"}, FailureKind.ENGINE_ERROR),
            (502, {"message": "x"}, FailureKind.CONNECTION),
            (503, {"message": "x"}, FailureKind.OVERLOADED),
            (504, {"message": "x"}, FailureKind.TIMEOUT),
            (302, {"message": "elsewhere"}, FailureKind.INVALID_ANSWER),
        ],
    )
    def test_a_status_is_of_a_kind(self, status: int, error: dict[str, str], kind: FailureKind) -> None:
        assert read_error(status, orjson.dumps({"error": error}), None).kind is kind

    def test_the_words_of_the_engine_are_passed_on(self) -> None:
        assert "too hot" in read_error(400, b'{"error":{"message":"too hot"}}', None).message
        assert "too hot" in read_error(400, b'{"object":"error","message":"too hot"}', None).message
        assert "too hot" in read_error(400, b'{"error":"too hot"}', None).message
        assert read_error(500, b"<html>", None).message == "The engine answered with status 500"
        assert len(read_error(400, orjson.dumps({"error": "x" * 9000}), None).message) < 1100

    def test_words_about_a_token_are_not(self) -> None:
        failure = read_error(401, b'{"error":{"message":"Incorrect API key: sk-1234"}}', None)
        assert "sk-" not in failure.message

    def test_an_engine_may_say_when_to_come_back(self) -> None:
        assert read_error(503, b"", 7.0).retry_after == 7.0
        assert read_error(503, b"", None).retry_after == 1.0
        assert retry_after_seconds("2") == 2.0
        assert retry_after_seconds(None) is None
        assert retry_after_seconds("Wed, 21 Oct 2026 07:28:00 GMT") is None
        assert retry_after_seconds("-1") is None
        assert retry_after_seconds("nan") is None
        assert retry_after_seconds("inf") == 3600.0
