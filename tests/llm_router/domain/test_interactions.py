"""What is kept of a completion."""

from datetime import UTC, datetime

from contracts.router import Chat, ChatMessage, Interaction, Usage
from llm_router.domain.engines import Answer
from llm_router.domain.interactions import TEXT_LIMIT, Outcome, chat_reply, input_text, interaction, parameters

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HELLO = ChatMessage(role="user", content="Hello")
ANSWER = Answer("id", "Hi", None, "stop", Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))


def kept(chat: Chat, outcome: Outcome) -> Interaction:
    return interaction(chat, outcome, interaction_id="i", principal="key_1", trace_id="t", created_at=NOW)


def test_a_single_message_is_kept_as_it_is_and_a_conversation_as_json() -> None:
    assert input_text(Chat(model="m", messages=[HELLO])) == "Hello"
    turns = [ChatMessage(role="system", content="Be brief"), ChatMessage(role="user", content="Grüße")]
    assert input_text(Chat(model="m", messages=turns)) == (
        '[{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Grüße"}]'
    )


def test_parameters_are_what_the_caller_set() -> None:
    chat = Chat(model="m", messages=[HELLO], temperature=0.5, stop=["x"], extra={"logit_bias": {"1": 2}})
    assert parameters(chat) == {"temperature": 0.5, "stop": ["x"], "logit_bias": {"1": 2}}
    assert parameters(Chat(model="m", messages=[HELLO])) == {}


def test_large_extras_are_kept_by_name() -> None:
    chat = Chat(model="m", messages=[HELLO], seed=1, extra={"tools": ["x" * 30_000]})
    assert parameters(chat) == {"seed": 1, "extra_fields": ["tools"]}


def test_what_postgres_cannot_store_is_replaced() -> None:
    chat = Chat(model="m\x00", messages=[ChatMessage(role="user", content="a\x00b")], stop=["\x00"])
    outcome = Outcome("failed", "m\x00", None, "x\x00", 0.1, error="no\x00")
    record = kept(chat, outcome)
    assert "\x00" not in record["model"] + record["input_text"] + record["output_text"] + (
        record["error_message"] or ""
    )
    assert record["parameters"] == {"stop": ["\ufffd"]}


def test_texts_are_bounded() -> None:
    chat = Chat(model="m", messages=[ChatMessage(role="user", content="x" * (TEXT_LIMIT + 5))])
    record = kept(chat, Outcome("completed", "m", "e", "y" * (TEXT_LIMIT + 5), 0.1))
    assert len(record["input_text"]) == len(record["output_text"]) == TEXT_LIMIT


def test_tokens_come_with_who_counted_them() -> None:
    chat = Chat(model="m", messages=[HELLO], route="test")
    outcome = Outcome(
        "completed", "m", "e", "Hi", 0.5, usage=ANSWER.usage, counted_by="tokenizer", time_to_first_token=0.1
    )
    record = kept(chat, outcome)
    assert (record["prompt_tokens"], record["completion_tokens"], record["counted_by"]) == (1, 2, "tokenizer")
    assert (record["route"], record["engine"], record["status"]) == ("test", "e", "completed")
    assert record["principal"] == "key_1"
    assert record["time_to_first_token"] == 0.1


def test_the_reply_bears_the_name_that_was_asked_for() -> None:
    reply = chat_reply(ANSWER, name="helper", engine="local", simulated=False, created=1, seconds=0.1)
    assert reply.model == "helper"
    assert reply.usage.total_tokens == 3
