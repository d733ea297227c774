"""Rows become conversations: by fields that map to columns, or from chats in either usual form."""

import json

import pytest

from contracts.base import RefusalCode, Refused
from trainer.domain.cleaning import clean
from trainer.domain.conversations import Turn, fields_of, read_row, resolve

_QUESTION_AND_ANSWER = (Turn("user", "Why?"), Turn("assistant", "Because."))


def test_the_mapping_of_document_e_names_columns_by_field() -> None:
    fields = fields_of("alpaca", ["question", "answer"], {"instruction": "question", "output": "answer"})
    assert fields == {"instruction": "question", "output": "answer"}
    assert read_row({"question": "Why?", "answer": "Because."}, fields, clean) == _QUESTION_AND_ANSWER


def test_a_field_without_mapping_takes_the_column_of_its_name() -> None:
    fields = fields_of("alpaca", ["instruction", "input", "output", "id"], {})
    assert fields == {"instruction": "instruction", "input": "input", "output": "output"}


def test_a_mapping_to_a_column_that_is_not_there_is_refused_and_names_the_columns() -> None:
    with pytest.raises(Refused) as refused:
        fields_of("alpaca", ["question", "answer"], {"instruction": "frage", "output": "answer"})
    assert refused.value.code is RefusalCode.CONFIG_INVALID
    assert "'frage'" in refused.value.message
    assert "question, answer" in refused.value.message
    assert refused.value.metadata["errors"][0]["field"] == "template_mapping.instruction"


def test_a_needed_field_without_column_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        fields_of("chatml", ["question", "answer"], {"instruction": "question"})
    assert [error["field"] for error in refused.value.metadata["errors"]] == ["template_mapping.output"]


def test_a_field_that_the_template_lacks_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        resolve(["a", "b"], {"prompt": "a"}, required=("instruction",), optional=())
    assert "no such field" in refused.value.message


def test_the_input_follows_the_instruction_and_the_system_message_leads() -> None:
    fields = fields_of("alpaca", ["instruction", "input", "output", "system"], {})
    row = {"instruction": "Add", "input": "1 2", "output": "3", "system": "You add."}
    assert read_row(row, fields, clean) == (
        Turn("system", "You add."),
        Turn("user", "Add\n\n### Input:\n1 2"),
        Turn("assistant", "3"),
    )


@pytest.mark.parametrize("row", [{"question": "Why?", "answer": " "}, {"question": None, "answer": "x"}])
def test_a_row_without_question_or_answer_is_none(row: dict[str, str | None]) -> None:
    fields = {"instruction": "question", "output": "answer"}
    assert read_row(row, fields, clean) is None
    assert read_row(row, fields, str) is None


@pytest.mark.parametrize(
    ("template", "column", "messages"),
    [
        ("messages", "messages", [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]),
        ("sharegpt", "conversations", [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]),
        ("model", "messages", [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]),
    ],
)
def test_chats_are_read_in_either_form(template: str, column: str, messages: list[dict[str, str]]) -> None:
    fields = fields_of(template, [column, "id"], {})
    assert read_row({column: json.dumps(messages)}, fields, clean) == _QUESTION_AND_ANSWER


def test_a_chat_column_of_another_name_is_mapped() -> None:
    fields = fields_of("sharegpt", ["dialog"], {"conversations": "dialog"})
    chat = json.dumps([{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}])
    assert read_row({"dialog": chat}, fields, clean) == _QUESTION_AND_ANSWER


def test_a_question_at_the_end_that_nobody_answered_is_cut() -> None:
    chat = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
        {"role": "user", "content": "And?"},
    ]
    assert read_row({"messages": json.dumps(chat)}, {"messages": "messages"}, clean) == _QUESTION_AND_ANSWER


@pytest.mark.parametrize(
    "text",
    [
        None,
        "not json",
        pytest.param("[" * 200_000, id="deep"),
        "[]",
        "{}",
        "[1, 2]",
        '[{"role": "user", "content": "only asked"}]',
        '[{"role": "assistant", "content": "out of turn"}]',
        '[{"role": "user", "content": "a"}, {"role": "assistant", "content": ["parts"]}]',
        '[{"role": "wizard", "content": "a"}, {"role": "assistant", "content": "b"}]',
        '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]',
    ],
)
def test_a_chat_that_is_none_is_left_out(text: str | None) -> None:
    assert read_row({"messages": text}, {"messages": "messages"}, clean) is None


def test_usual_names_of_columns_need_no_mapping() -> None:
    columns = ["question", "prompt", "answer", "note"]
    assert fields_of("alpaca", columns, {}) == {"instruction": "question", "output": "answer"}
    assert fields_of("alpaca", ["instruction", "question", "output"], {}) == {
        "instruction": "instruction",
        "output": "output",
    }
    # Who maps one maps the other: a guess beside it may be another column than was meant.
    with pytest.raises(Refused):
        fields_of("alpaca", columns, {"output": "note"})
