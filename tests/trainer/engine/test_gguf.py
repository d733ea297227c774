"""GGUF: what another reader finds in the file is the model, to the last token, for every architecture and type."""

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, get_args

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from contracts.base import RefusalCode, Refused
from contracts.pipeline import GgufType
from tests.trainer.engine.gguf_models import ARCHITECTURES, make_model
from trainer.engine.gguf import check_writable, read_back, rounded, write_gguf, writing
from trainer.engine.models import load_config, load_model, load_tokenizer

ROUNDED: tuple[GgufType, ...] = get_args(GgufType)[1:]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Prose that a model knows soon: where several words are as probable, which one is the most says nothing."""
    return [topics["assignment"][:1100]] * 4


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    return make_model(request.param, texts, tmp_path_factory.mktemp("gguf") / request.param)


def _write(model_dir: Path, out: Path, type_: GgufType) -> Path:
    file = out / f"{type_}.gguf"
    write_gguf(model_dir, load_tokenizer(model_dir), load_config(model_dir), file, type_, name="a test")
    return file


def _logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model.eval()(input_ids=ids, use_cache=False).logits
    return logits.flatten(0, 1)


def _text(model_dir: Path, texts: list[str]) -> torch.Tensor:
    ids = [token for text in texts for token in load_tokenizer(model_dir)(text)["input_ids"]]
    return torch.tensor(ids[: len(ids) // 128 * 128]).reshape(-1, 128)


@pytest.mark.parametrize(
    ("type_", "least"),
    [("F32", 1.0), ("F16", 0.998), ("BF16", 0.99), ("Q8_0", 0.99), ("Q6_K", 0.98), ("Q4_K_M", 0.95)],
)
def test_its_most_probable_tokens_are_those_of_the_model(
    model_dir: Path, tmp_path: Path, texts: list[str], type_: GgufType, least: float
) -> None:
    ids = _text(model_dir, texts)
    expected = _logits(load_model(model_dir, torch.float32), ids)
    found = _logits(read_back(_write(model_dir, tmp_path, type_), torch.float32), ids)
    agree = (found.argmax(-1) == expected.argmax(-1)).float().mean().item()
    assert agree >= least
    assert len(expected) >= 1280


def test_nothing_but_rounding_sets_it_apart_from_the_model(model_dir: Path, tmp_path: Path) -> None:
    ids = torch.arange(3, 131).unsqueeze(0)
    for type_ in ROUNDED:
        model = load_model(model_dir, torch.float32)
        rounded(model, type_)
        found = _logits(read_back(_write(model_dir, tmp_path, type_), torch.float32), ids)
        torch.testing.assert_close(found, _logits(model, ids), rtol=1e-4, atol=1e-4)


def test_its_tokenizer_splits_text_as_the_models(model_dir: Path, tmp_path: Path, texts: list[str]) -> None:
    file = _write(model_dir, tmp_path, "F32")
    mine, read = load_tokenizer(model_dir), AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for text in (*texts[:20], "1234 apples, isn't it?\n\n  fine", "größe 日本 🙂"):
        assert read(text, add_special_tokens=False)["input_ids"] == mine(text, add_special_tokens=False)["input_ids"]
    assert (read.eos_token, read.chat_template) == (mine.eos_token, mine.chat_template)


def test_vectors_are_exact_a_tied_head_is_left_out_and_padding_is_unused(model_dir: Path, tmp_path: Path) -> None:
    reader = gguf.GGUFReader(_write(model_dir, tmp_path, "Q4_0"))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert {kind for name, kind in kinds.items() if "norm" in name or name.endswith(".bias")} == {"F32"}
    config = load_config(model_dir)
    assert ("output.weight" in kinds) != config.tie_word_embeddings
    in_blocks = config.hidden_size % 256 == 0
    head = "token_embd.weight" if config.tie_word_embeddings else "output.weight"
    assert kinds[head] == ("Q6_K" if in_blocks else "Q8_0")
    assert kinds["blk.0.ffn_down.weight"] == "Q4_0"
    mixed = {
        tensor.name: tensor.tensor_type.name
        for tensor in gguf.GGUFReader(_write(model_dir, tmp_path, "Q4_K_M")).tensors
    }
    assert [mixed[f"blk.{layer}.attn_{name}.weight"] for layer in (0, 1) for name in "qv"] == (
        ["Q4_K", "Q4_K", "Q4_K", "Q6_K"] if in_blocks else ["Q5_0", "Q5_0", "Q5_0", "Q8_0"]
    )
    types = reader.get_field("tokenizer.ggml.token_type").contents()  # type: ignore[union-attr]
    assert len(types) == config.vocab_size
    assert types.count(gguf.TokenType.UNUSED) == config.vocab_size - len(load_tokenizer(model_dir))


def test_rows_that_are_left_unswapped_are_found_out(
    model_dir: Path, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake that still loads: the check must tell it from a good file."""
    rotated = load_config(model_dir).model_type in ("llama", "mistral")
    monkeypatch.setattr(writing, "_in_pairs", lambda data, heads: data)
    ids = _text(model_dir, texts)[:4]
    expected = _logits(load_model(model_dir, torch.float32), ids)
    found = _logits(read_back(_write(model_dir, tmp_path, "F32"), torch.float32), ids)
    assert ((found - expected).norm() / expected.norm() > 0.01) == rotated


def test_memory_holds_a_piece_of_one_tensor_at_a_time(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    alive: list[Any] = []
    original = writing.quantize

    def counting(data: np.ndarray[Any, Any], type_: Any) -> Any:
        alive[:] = [reference for reference in alive if reference() is not None]
        alive.append(_reference(data))
        held.append(len(alive))
        return original(data, type_)

    whole = _write(model_dir, tmp_path, "Q8_0").read_bytes()
    monkeypatch.setattr(writing, "quantize", counting)
    monkeypatch.setattr(writing, "_PIECE", 1000)
    assert _write(model_dir, tmp_path, "Q8_0").read_bytes() == whole
    assert len(held) > 60
    assert max(held) <= 2


def _reference(data: Any) -> Any:
    import weakref  # noqa: PLC0415

    return weakref.ref(data)


def test_what_gguf_has_no_place_for_is_refused_by_field(model_dir: Path) -> None:
    config, tokenizer = load_config(model_dir), load_tokenizer(model_dir)
    config.architectures = ["GPT2LMHeadModel"]
    with pytest.raises(Refused, match="architecture is GPT2LMHeadModel") as refused:
        check_writable(config, tokenizer)
    assert refused.value.code is RefusalCode.CONFIG_INVALID
    assert refused.value.metadata["errors"][0]["field"] == "formats"
    config = load_config(model_dir)
    config.vocab_size = 10
    with pytest.raises(Refused, match="its embedding 10"):
        check_writable(config, tokenizer)
