from pathlib import Path
from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from trainer.engine.examples import Row, read_rows, tokenise
from trainer.engine.models import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(base_model: Path) -> Any:
    return load_tokenizer(base_model)


def test_a_row_is_its_prompt_its_completion_and_the_end_of_text(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("Which colour?\n", "It is red.")]), tokenizer, 100)
    assert tokenizer.decode(examples.row(0)) == "Which colour?\nIt is red.<|endoftext|>"
    assert tokenizer.decode(examples.row(0)[examples.answers[0] :]) == "It is red.<|endoftext|>"


def test_an_end_that_the_completion_has_already_is_not_doubled(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("a", "b<|endoftext|>")]), tokenizer, 100)
    assert tokenizer.decode(examples.row(0)) == "ab<|endoftext|>"


def test_the_prompt_is_tokenised_as_it_is_when_served(tokenizer: Any) -> None:
    prompt, completion = "The ap", "ple is red."  # as one text, `apple` would be cut elsewhere
    examples = tokenise(iter([Row(prompt, completion)]), tokenizer, 100)
    alone = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert examples.row(0)[: examples.answers[0]].tolist() == alone
    assert tokenizer.decode(examples.row(0)) == "The apple is red.<|endoftext|>"


def test_a_cut_completion_does_not_pretend_to_end(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("a", "red " * 50)]), tokenizer, 16)
    assert examples.lengths == [16]
    assert tokenizer.eos_token_id not in examples.row(0)


def test_rows_without_room_for_an_answer_are_skipped_and_counted(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("long " * 50, "x"), Row("a", "b")]), tokenizer, 16)
    assert (len(examples), examples.skipped) == (1, 1)


def test_rows_that_teach_nothing_at_all_are_refused(tokenizer: Any) -> None:
    with pytest.raises(Refused, match="nothing to learn") as refused:
        tokenise(iter([Row("long " * 50, "x")]), tokenizer, 16)
    assert refused.value.code == RefusalCode.DATASET_INVALID


def test_the_whole_row_counts_where_asked_but_for_its_first_token(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("Which colour?", "red")]), tokenizer, 100, whole=True)
    assert examples.answers.tolist() == [1]


def test_a_row_without_a_prompt_is_learnt_from_its_second_token(tokenizer: Any) -> None:
    examples = tokenise(iter([Row("", "red apple")]), tokenizer, 100)
    assert examples.answers.tolist() == [1]


@pytest.mark.parametrize("line", ["{", "[]", "1", '{"prompt": "a"}', '{"prompt": "a", "completion": 3}'])
def test_a_line_that_is_no_row_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + line + "\n")
    with pytest.raises(Refused, match="Line 2") as refused:
        list(read_rows(path))
    assert refused.value.code == RefusalCode.DATASET_INVALID
