import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from contracts.base import RefusalCode, Refused
from trainer.engine.models import load_model, load_tokenizer
from trainer.engine.tiny_model import Shape, make_tiny_model


def test_a_made_model_is_clearly_better_than_chance(
    texts: list[str], small_shape: Shape, tmp_path: Path, progress: Any
) -> None:
    made = make_tiny_model(texts, tmp_path / "small", progress=progress, shape=small_shape)
    assert made.final_loss < made.first_loss - 2
    assert progress.curve()[small_shape.steps] < progress.curve()[20]


def test_what_is_written_is_a_whole_model_directory(base_model: Path) -> None:
    names = {file.name for file in base_model.iterdir()}
    assert names == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert load_model(base_model).config.vocab_size == len(load_tokenizer(base_model))
    assert "240 documents" in (base_model / "README.md").read_text()


def test_equal_text_and_seed_make_an_equal_model(
    texts: list[str], small_shape: Shape, base_model: Path, tmp_path: Path, progress: Any
) -> None:
    make_tiny_model(texts, tmp_path / "again", progress=progress, shape=small_shape)
    make_tiny_model(texts, tmp_path / "other", progress=progress, shape=small_shape, seed=1)
    expected, again, other = (
        load_model(directory).get_input_embeddings().weight
        for directory in (base_model, tmp_path / "again", tmp_path / "other")
    )
    torch.testing.assert_close(again, expected, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(other, expected, atol=1e-2)


def test_any_text_survives_the_tokenizer(base_model: Path) -> None:
    tokenizer = load_tokenizer(base_model)
    for text in ("red apple", "  two  spaces\n\ttab", "Größe, 東京 🎉", "", "x" * 1000):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_padding_is_not_the_end_of_text(base_model: Path) -> None:
    tokenizer = load_tokenizer(base_model)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_the_chat_template_marks_what_the_assistant_said(base_model: Path) -> None:
    tokenizer = load_tokenizer(base_model)
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Which colour?"},
        {"role": "assistant", "content": "red"},
    ]
    asked = tokenizer.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert asked == "Be kind.\n\n### Instruction:\nWhich colour?\n\n### Response:\n"
    encoded = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, own in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if own]
    assert tokenizer.decode(marked) == "red<|endoftext|>"


def test_a_make_that_is_interrupted_leaves_nothing_that_looks_whole(
    texts: list[str], small_shape: Shape, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> str:
        raise KeyboardInterrupt

    out = tmp_path / "models" / "small"
    with monkeypatch.context() as patched:
        patched.setattr("trainer.engine.tiny_model._card", lose)
        with pytest.raises(KeyboardInterrupt):
            make_tiny_model(texts, out, progress=progress, shape=replace(small_shape, steps=2))
    assert not out.exists()
    make_tiny_model(texts, out, progress=progress, shape=replace(small_shape, steps=2))
    assert [directory.name for directory in out.parent.iterdir()] == ["small"]


def test_a_model_that_is_there_is_not_overwritten(base_model: Path, texts: list[str], progress: Any) -> None:
    with pytest.raises(FileExistsError):
        make_tiny_model(texts, base_model, progress=progress)


def test_too_little_text_is_refused(tmp_path: Path, progress: Any) -> None:
    with pytest.raises(Refused, match="do not make a model") as refused:
        make_tiny_model(["a few words"], tmp_path / "small", progress=progress)
    assert refused.value.code == RefusalCode.DATASET_INVALID
    assert list(tmp_path.iterdir()) == []


def test_the_command_makes_a_model_once(texts: list[str], tmp_path: Path) -> None:
    text, out = tmp_path / "prose.txt", tmp_path / "models" / "made"
    text.write_text("\n\n".join(texts * 5), encoding="utf-8")
    command = [sys.executable, "-m", "trainer.tiny_model", "--text", str(text), "--out", str(out), "--steps", "1"]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Made made" in first.stdout
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is there already" in second.stdout
