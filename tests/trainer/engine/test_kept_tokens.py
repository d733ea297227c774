"""Rows are tokenised once: training finds their ids beside them, and learns from the very same ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.pipeline import TrainingConfig
from trainer.engine import tasks
from trainer.engine.examples import encoded, read_pairs, read_rows
from trainer.engine.kept_tokens import keep_tokens, kept_tokens
from trainer.engine.models import load_tokenizer

_PAIRS = [
    {"prompt": f"Which colour is {n}?\n", "chosen": "red " * (n + 1), "rejected": "none " * (n % 3 + 1)}
    for n in range(30)
]


@pytest.fixture(scope="module")
def tokenizer(base_model: Path) -> Any:
    return load_tokenizer(base_model)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, _PAIRS)))
    return file


def _keep(rows: Path, tokenizer: Any, answers: int) -> None:
    both = [row for pair in read_pairs(rows) for row in pair[:answers]]
    keep_tokens(rows, list(encoded(iter(both), tokenizer)), tokenizer, answers=answers)


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("config", [{}, {"train_on_inputs": True}, {"objective": "dpo"}], ids=str)
def test_training_learns_from_kept_ids_what_it_would_from_rows(
    config: dict[str, Any], cut: bool, rows: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [prompt for prompt, _ in encoded(read_rows(rows), tokenizer)]
    most = max(prompts) + 1 if cut else 100
    settings = TrainingConfig.model_validate(config)
    expected = tasks.prepare_task(settings, tokenizer, rows, None, most).examples
    _keep(rows, tokenizer, answers=2)
    monkeypatch.setattr(tasks, "encoded", None)  # whoever tokenises again fails
    found = tasks.prepare_task(settings, tokenizer, rows, None, most).examples
    for name in ("tokens", "starts", "answers"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype  # checkpoints know their rows by every byte
        np.testing.assert_array_equal(ours, theirs)
    assert found.skipped == expected.skipped


def test_equal_rows_are_kept_in_equal_bytes(rows: Path, tokenizer: Any) -> None:
    """What training is made of is known again by its bytes."""
    written = set()
    for _ in range(8):
        _keep(rows, tokenizer, answers=2)
        written.add((rows.parent / "tokens" / "train.safetensors").read_bytes())
    assert len(written) == 1


def test_ids_of_another_tokenizer_or_of_too_few_answers_are_not_taken(rows: Path, base_model: Path) -> None:
    tokenizer = load_tokenizer(base_model)
    assert kept_tokens(rows, tokenizer, answers=1) is None
    _keep(rows, tokenizer, answers=1)
    assert kept_tokens(rows, tokenizer, answers=2) is None
    kept = kept_tokens(rows, tokenizer, answers=1)
    assert kept is not None
    assert [ids.tolist() for _, ids in kept] == [ids for _, ids in encoded(read_rows(rows), tokenizer)]  # type: ignore[union-attr]
    tokenizer.add_tokens(["colour"])
    assert kept_tokens(rows, tokenizer, answers=1) is None
    (rows.parent / "tokens" / "train.safetensors").write_bytes(b"cut off")
    assert kept_tokens(rows, tokenizer, answers=1) is None
