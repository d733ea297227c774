"""JSON from an engine that knows nothing of formats: asked for in words, checked, and put right once."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from contracts.base import RefusalCode
from contracts.router import Chat, ChatMessage, Embed, Usage
from llm_router.domain.engines import Answer, KeepsFormat, ModelCard, Question, Vectors
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine import formatted
from llm_router.engine.protocol import Pieces

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["title", "tags"],
}
GOOD = '{"title": "A", "tags": ["b"]}'
USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


class Scripted:
    """An engine that says what a test tells it to, one text for each question."""

    keeps_format: KeepsFormat = "never"

    def __init__(self, *texts: str | EngineFailure | Answer) -> None:
        self.texts = list(texts)
        self.asked: list[Chat] = []

    async def complete(self, question: Question, model: str) -> Answer:
        assert isinstance(question, Chat)
        assert model == "m"
        self.asked.append(question)
        match self.texts.pop(0):
            case EngineFailure() as failure:
                raise failure
            case str() as text:
                return Answer("id", text, None, "stop", USAGE)
            case Answer() as answer:
                return answer

    def stream(self, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
        raise AssertionError("what has to be checked is not streamed")

    async def embed(self, asked: Embed, model: str) -> Vectors:
        raise AssertionError(asked)

    async def models(self) -> list[ModelCard]:
        return []

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None: ...

    async def unload_adapter(self, name: str) -> None: ...

    async def close(self) -> None: ...


def chat(schema: Any = SCHEMA, *, system: str | None = None, **fields: Any) -> Chat:
    messages = [ChatMessage(role="system", content=system)] if system else []
    messages.append(ChatMessage(role="user", content="Write a post"))
    wanted = {"type": "json_schema", "json_schema": {"name": "post", "schema": schema}}
    return Chat(model="m", messages=messages, **({"response_format": wanted} | fields))


async def test_the_schema_is_asked_for_in_words() -> None:
    engine = Scripted(GOOD)
    answer = await formatted.complete(engine, chat(system="Be brief."), "m")
    assert (answer.content, answer.usage) == (GOOD, USAGE)
    (asked,) = engine.asked
    assert asked.response_format is None
    assert [message.role for message in asked.messages] == ["system", "user"]
    assert str(asked.messages[0].content).startswith("Be brief.\n\n")
    assert json.dumps(SCHEMA) in str(asked.messages[0].content)


@pytest.mark.parametrize(
    "text", [f"Here you are:\n```json\n{GOOD}\n```", f"  {GOOD}  I hope that helps {{really}}.", GOOD]
)
async def test_json_is_found_in_what_models_put_around_it(text: str) -> None:
    assert (await formatted.complete(Scripted(text), chat(), "m")).content == GOOD


async def test_a_wrong_answer_is_sent_back_once_with_what_is_wrong() -> None:
    engine = Scripted('{"title": "A", "tags": "b"}', GOOD)
    answer = await formatted.complete(engine, chat(), "m")
    assert answer.content == GOOD
    assert answer.usage.total_tokens == 10
    *_, said, told = engine.asked[1].messages
    assert (said.role, said.content, told.role) == ("assistant", '{"title": "A", "tags": "b"}', "user")
    assert 'tags: "b" is not of type "array"' in str(told.content)


async def test_an_answer_that_is_wrong_twice_is_a_clear_failure() -> None:
    engine = Scripted("I would rather not.", '{"title": "A"}')
    with pytest.raises(EngineFailure, match='"tags" is a required property') as caught:
        await formatted.complete(engine, chat(), "m")
    assert (caught.value.kind, caught.value.code) == (FailureKind.FORMAT, RefusalCode.ENGINE_FAILED)
    assert not caught.value.trait.retryable
    assert not engine.texts


async def test_any_object_will_do_where_no_schema_is_named() -> None:
    engine = Scripted("[1]", '{"any": 1}')
    answer = await formatted.complete(engine, chat(response_format={"type": "json_object"}), "m")
    assert answer.content == '{"any": 1}'


async def test_each_of_several_choices_is_checked() -> None:
    answer = await formatted.complete(Scripted(GOOD, "no", '{"title": "B", "tags": []}'), chat(n=2), "m")
    assert [answer.content, *(other.content for other in answer.others)] == [GOOD, '{"title": "B", "tags": []}']
    assert answer.usage.total_tokens == 15


async def test_a_stream_brings_the_checked_answer_in_one_piece() -> None:
    items = [item async for item in formatted.stream(Scripted("no", GOOD), chat(), "m")]
    pieces, answer = items
    assert isinstance(pieces, list)
    assert isinstance(answer, Answer)
    assert [*pieces, answer.content] == [{"content": GOOD}, GOOD]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}, "not valid"),
        ({"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:1/x"}}}, "not valid"),
        ({"type": "regex"}, "does not know the type"),
    ],
)
async def test_a_format_that_means_nothing_is_the_callers_mistake(wanted: Any, why: str) -> None:
    engine = Scripted()
    with pytest.raises(EngineFailure, match=why) as caught:
        await formatted.complete(engine, chat(response_format=wanted), "m")
    assert caught.value.kind is FailureKind.INVALID_REQUEST
    assert caught.value.metadata["param"] == "response_format"


async def test_an_engine_that_keeps_formats_is_left_to_it() -> None:
    engine = Scripted("whatever")
    engine.keeps_format = "always"
    question = chat()
    assert (await formatted.complete(engine, question, "m")).content == "whatever"
    assert engine.asked == [question]


class Perhaps(Scripted):
    """Speaks OpenAI's API; whether it knows formats, nobody knows."""

    keeps_format: KeepsFormat = "perhaps"


async def test_an_engine_that_may_know_formats_is_told_the_format_and_believed_when_it_fits() -> None:
    engine, question = Perhaps(GOOD), chat()
    assert (await formatted.complete(engine, question, "m")).content == GOOD
    assert engine.asked == [question]


async def test_one_that_ignored_the_format_is_asked_once_more_in_words() -> None:
    engine = Perhaps("A post about b", GOOD)
    answer = await formatted.complete(engine, chat(), "m")
    assert (answer.content, answer.usage.total_tokens) == (GOOD, 10)
    first, *_, said, told = engine.asked[1].messages
    assert json.dumps(SCHEMA) in str(first.content)
    assert (said.content, told.role) == ("A post about b", "user")
    with pytest.raises(EngineFailure, match="twice"):
        await formatted.complete(Perhaps("A post", "Another"), chat(), "m")


async def test_one_that_refuses_the_format_is_asked_in_words() -> None:
    engine = Perhaps(EngineFailure(FailureKind.INVALID_REQUEST, "response_format is not supported"), GOOD)
    assert (await formatted.complete(engine, chat(), "m")).content == GOOD
    assert engine.asked[1].response_format is None


async def test_other_refusals_are_the_callers() -> None:
    with pytest.raises(EngineFailure, match="temperature"):
        await formatted.complete(Perhaps(EngineFailure(FailureKind.INVALID_REQUEST, "temperature")), chat(), "m")


@pytest.mark.parametrize(
    "answer",
    [
        Answer("id", '{"title": "A', None, "length", USAGE),
        Answer("id", "", None, "stop", USAGE, extra={"refusal": "I cannot help with that."}),
        Answer("id", "", [{"id": "call_1"}], "tool_calls", USAGE),
    ],
    ids=["cut off", "refused", "a tool call"],
)
async def test_an_answer_that_says_itself_why_it_is_no_json_is_handed_on(answer: Answer) -> None:
    assert await formatted.complete(Perhaps(answer), chat(), "m") == answer


async def test_a_format_that_only_the_engine_knows_is_left_to_it() -> None:
    assert (await formatted.complete(Perhaps("ok"), chat(response_format={"type": "regex"}), "m")).content == "ok"
