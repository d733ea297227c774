"""The Responses API's request as a chat, and its events as an answer's pieces make them."""

from collections.abc import Iterable
from typing import Any

import pytest

from contracts.base import Refused
from contracts.router import ChatDelta, ChatReply
from gateway.domain.response_events import ResponseEvent, ResponseEvents, response
from gateway.domain.responses import ResponsesRequest
from tests.gateway.peers import REPLY


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", "input": "Hello", **fields})


def told(*deltas: ChatDelta, reply: ChatReply = REPLY) -> list[ResponseEvent]:
    events = ResponseEvents(request())
    opening = list(events.opening())
    pieces = [event for delta in deltas for event in events.delta(delta)]
    return [*opening, *pieces, *events.ending(reply)]


def types(events: Iterable[ResponseEvent]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


def call(index: int, arguments: str, **fields: Any) -> ChatDelta:
    name = fields.pop("name", None)
    piece = {"index": index, "function": {"name": name, "arguments": arguments}, **fields}
    return ChatDelta(tool_calls=[piece])


def test_a_text_is_the_user_s_and_instructions_come_first() -> None:
    chat = request(instructions="Be brief").question()
    assert [(message.role, message.content) for message in chat.messages] == [("system", "Be brief"), ("user", "Hello")]
    assert chat.route == "responses"


def test_a_schema_becomes_the_chat_s_response_format() -> None:
    schema = {"type": "object"}
    wanted = {"type": "json_schema", "name": "thing", "schema": schema, "strict": True}
    assert request(text={"format": wanted}).question().response_format == {
        "type": "json_schema",
        "json_schema": {"name": "thing", "strict": True, "schema": schema},
    }
    assert request(text={"format": {"type": "text"}}).question().response_format is None
    with pytest.raises(Refused, match="schema"):
        request(text={"format": {"type": "json_schema", "name": "thing"}}).question()


def test_parameters_that_the_platform_does_not_know_go_to_the_engine() -> None:
    assert request(top_k=3, user="u", include=["message.output_text.logprobs"]).question().extra == {
        "top_k": 3,
        "user": "u",
        "logprobs": True,
        "top_logprobs": 0,
    }


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([{"role": "robot", "content": "x"}], "input[0].role"),
        ([{"role": "user", "content": 5}], "input[0].content"),
        ([{"role": "user", "content": [{"type": "video"}]}], "input[0].content[0]"),
        ([{"type": "function_call", "call_id": "c", "name": "f"}], "input[0].arguments"),
        ([{"type": "function_call_output", "output": "x"}], "input[0].call_id"),
        ([{"type": "computer_call"}], "input[0]"),
        ([{"type": "reasoning"}], "input"),
    ],
)
def test_an_item_that_makes_no_sense_is_refused_where_it_stands(items: list[Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        request(input=items).question()
    assert refused.value.metadata["param"] == param


def test_pieces_of_several_calls_may_be_mixed() -> None:
    events = told(
        ChatDelta(content="I look. "),
        call(0, "", id="call_a", name="f"),
        call(0, '{"x"'),
        call(1, "{}", id="call_b", name="g"),
        call(0, ":1}"),
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert events[-1].response is not None
    assert events[-1].response.output == done
    assert [item.type for item in done if item is not None] == ["message", "function_call", "function_call"]
    assert [getattr(item, "arguments", None) for item in done] == [None, '{"x":1}', "{}"]


def test_a_text_ends_where_something_else_begins() -> None:
    thought = ChatDelta(extra={"reasoning_content": "Hm."})
    assert types(told(thought, ChatDelta(content="Yes"), thought)) == [
        "created",
        "in_progress",
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]


def test_an_empty_answer_is_still_a_message() -> None:
    events = told(reply=REPLY.model_copy(update={"content": ""}))
    assert events[-1].response is not None
    (item,) = events[-1].response.output
    assert item.type == "message"
    assert "output_text.delta" not in types(events)


def test_a_refusal_is_a_part_of_its_own_kind() -> None:
    whole = response(request(), REPLY.model_copy(update={"content": "", "extra": {"refusal": "I will not."}}))
    (item,) = whole.output
    assert [part.type for part in item.content] == ["refusal"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("reason", "told_reason"), [("length", "max_output_tokens"), ("content_filter",) * 2])
def test_what_was_cut_short_is_incomplete(reason: str, told_reason: str) -> None:
    whole = response(request(), REPLY.model_copy(update={"finish_reason": reason}))
    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == told_reason
    assert [item.status for item in whole.output] == ["incomplete"]


def test_what_broke_off_tells_what_there_was() -> None:
    events = ResponseEvents(request())
    error = {"message": "The engine died", "type": "server_error", "param": None, "code": "engine_failed"}
    heard = [*events.opening(), *events.delta(ChatDelta(content="One")), *events.failure(error)]
    failed, last = heard[-2:]
    assert types(heard)[-2:] == ["failed", "error"]
    assert failed.response is not None
    assert failed.response.error is not None
    assert failed.response.error.message == "The engine died"
    assert [item.status for item in failed.response.output] == ["incomplete"]
    assert (last.message, last.error) == ("The engine died", error)
