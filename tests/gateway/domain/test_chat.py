"""OpenAI's request as the platform's question, and the platform's answer in OpenAI's form."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.base import Refused
from contracts.router import ChatDelta, ServedModels
from gateway.domain.chat import (
    ChatChunks,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    completion,
    find_model,
    model_list,
)
from gateway.domain.text import Completion, CompletionRequest, TextChunks, text_completion
from tests.gateway.peers import REPLY, served

HELLO = [{"role": "user", "content": "Hello"}]


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": HELLO, **fields})


def test_what_the_platform_does_not_know_goes_to_the_engine() -> None:
    chat = request(top_k=5, response_format={"type": "json_object"}, tools=[], user="u", logprobs=None).question()
    assert chat.extra == {"top_k": 5, "tools": [], "user": "u"}
    assert chat.response_format == {"type": "json_object"}


def test_stop_is_one_or_several() -> None:
    assert request(stop="\n").question().stop == ["\n"]
    assert request(stop=["a", "b"]).question().stop == ["a", "b"]
    assert request(stop=None).question().stop is None


def test_the_newer_name_of_max_tokens_is_known_and_goes_first() -> None:
    assert request(max_tokens=5).question().max_tokens == 5
    assert request(max_completion_tokens=7).question().max_tokens == 7
    assert request(max_tokens=5, max_completion_tokens=7).question().max_tokens == 7


def test_an_answer_s_message_may_be_sent_back() -> None:
    answered = {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "reasoning_content": "x"}
    assert request(messages=[*HELLO, answered]).question().messages[1].content == "Hi"


def test_a_misspelt_field_of_a_message_is_refused() -> None:
    with pytest.raises(ValidationError, match="contents"):
        request(messages=[{"role": "user", "contents": "Hello"}])


def test_a_completion_has_openai_s_fields() -> None:
    assert completion(REPLY) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "system_fingerprint": "local",
    }


def test_a_tool_call_has_no_content() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    reply = REPLY.model_copy(update={"content": "", "tool_calls": [call], "finish_reason": "tool_calls"})
    message = completion(reply)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def test_a_simulated_answer_says_so() -> None:
    assert completion(REPLY.model_copy(update={"simulated": True}))["system_fingerprint"] == "simulated:local"


def chunks(**fields: Any) -> list[dict[str, Any]]:
    made = ChatChunks(request(**fields))
    return [*made.opening(), made.delta(ChatDelta(content="Hel")), *made.ending(REPLY)]


def test_answers_have_the_forms_that_the_description_of_the_api_prints() -> None:
    assert ChatCompletion.model_validate(completion(REPLY)).model_dump(exclude_unset=True) == completion(REPLY)
    for chunk in chunks(stream_options={"include_usage": True}):
        assert ChatCompletionChunk.model_validate(chunk).model_dump(exclude_unset=True) == chunk
    asked = CompletionRequest.model_validate({"model": "m", "prompt": "Hi", "stream_options": {"include_usage": True}})
    made = TextChunks(asked)
    for text in (text_completion(REPLY), made.delta(ChatDelta(content="Hel")), *made.ending(REPLY)):
        assert Completion.model_validate(text).model_dump(exclude_unset=True) == text


def test_a_stream_brings_role_text_and_reason_in_this_order() -> None:
    first, text, last = chunks()
    shared = {"id": first["id"], "object": "chat.completion.chunk", "created": first["created"], "model": "m"}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    assert first == {
        **shared,
        "system_fingerprint": None,
        "choices": [{**choice, "delta": {"role": "assistant", "content": ""}}],
    }
    assert text["choices"] == [{**choice, "delta": {"content": "Hel"}}]
    assert last["choices"] == [{**choice, "delta": {}, "finish_reason": "stop"}]
    assert last["system_fingerprint"] == "local"
    assert all("usage" not in chunk for chunk in (first, text, last))


def test_usage_comes_last_and_alone_where_it_is_asked_for() -> None:
    *before, usage = chunks(stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in before)
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_models_that_cannot_be_asked_are_not_listed() -> None:
    models = ServedModels(models=[served("a"), served("b", status="unavailable", number=2)])
    assert [model.id for model in model_list(models).data] == ["a"]
    assert find_model(models, "a").owned_by == "local"
    with pytest.raises(Refused):
        find_model(models, "b")


def test_a_trained_model_is_found_by_all_that_it_can_be_asked_by() -> None:
    names = ("mood", "mood@production", "model_1")
    trained = [served(name).model_copy(update={"model_id": "model_1", "versioned": "mood@2"}) for name in names]
    models = ServedModels(models=[served("tiny"), *trained])
    for name in (*names, "mood@2", "mood@latest"):
        assert find_model(models, name).id == name
    for nobody in ("mood@1", "mood@production@latest", "tiny@latest", "model_1@latest"):
        with pytest.raises(Refused):
            find_model(models, nobody)
