import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contracts.base import RefusalCode, Refused
from trainer.engine.models import fetch, load_config, load_model, load_tokenizer, resolve_model


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    for name in ("small", "team/nested"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
    (tmp_path / "models" / "empty").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text("{}")
    return tmp_path / "models"


@pytest.fixture
def copied(base_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_model, tmp_path / "copied"))


def test_a_name_and_a_path_inside_the_models_directory_are_found(models_dir: Path) -> None:
    assert resolve_model("small", models_dir) == models_dir / "small"
    assert resolve_model("team/nested", models_dir) == models_dir / "team" / "nested"
    assert resolve_model(str(models_dir / "small"), models_dir) == models_dir / "small"


def test_a_hugging_face_id_is_passed_on(models_dir: Path) -> None:
    assert resolve_model("meta-llama/Llama-3.2-1B", models_dir) == "meta-llama/Llama-3.2-1B"
    assert resolve_model("gpt2", models_dir) == "gpt2"


def test_a_link_that_the_operator_set_may_lead_out(models_dir: Path, tmp_path: Path) -> None:
    (models_dir / "linked").symlink_to(tmp_path / "secret")
    assert resolve_model("linked", models_dir) == models_dir / "linked"


@pytest.mark.parametrize(
    "reference",
    [
        "../secret",
        "small/../../secret",
        "/etc",
        ".",
        "..",
        "a/b/c",
        "https://example.com/x",
        "a b",
        "-x",
        "a--b",
        "a\nb",
    ],
)
def test_anything_else_is_refused(models_dir: Path, reference: str) -> None:
    with pytest.raises(Refused) as refused:
        resolve_model(reference, models_dir)
    assert refused.value.code == RefusalCode.CONFIG_INVALID
    assert refused.value.metadata["errors"][0]["field"] == "base_model"


def test_an_absolute_path_outside_is_refused_even_if_a_model_is_there(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        resolve_model(str(tmp_path / "secret"), models_dir)


def test_a_directory_without_a_model_is_refused(models_dir: Path) -> None:
    with pytest.raises(Refused, match=r"config\.json"):
        resolve_model("empty", models_dir)


def test_an_id_that_cannot_be_fetched_is_refused_with_what_to_check() -> None:
    with pytest.raises(Refused, match="Check the id, the network") as refused:
        fetch("nobody-has-this-name/none-such-model")
    assert refused.value.code == RefusalCode.CONFIG_INVALID


def test_a_model_loads_in_the_precision_of_its_files_or_as_asked(base_model: Path) -> None:
    assert load_model(base_model).dtype == torch.float32
    assert load_model(base_model, torch.bfloat16).dtype == torch.bfloat16
    assert load_config(base_model).hidden_size == 32


def test_pickled_weights_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(Refused, match="could not be loaded") as refused:
        load_model(copied)
    assert refused.value.code == RefusalCode.CONFIG_INVALID


def test_a_model_that_wants_to_run_its_own_code_is_refused(copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    code = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": code}))
    (copied / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for load in (load_config, load_model):
        with pytest.raises(Refused):
            load(copied)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_file_is_refused(copied: Path) -> None:
    (copied / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(Refused):
        load_model(copied)


def test_files_that_lack_weights_are_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match=r"lack the weights model\.norm\.weight"):
        load_model(copied)


def test_a_missing_tokenizer_is_refused(copied: Path) -> None:
    for file in copied.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(Refused, match="tokenizer"):
        load_tokenizer(copied)


def test_a_tokenizer_without_an_end_of_text_token_is_refused(copied: Path) -> None:
    config = json.loads((copied / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (copied / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(Refused, match="never learn to stop"):
        load_tokenizer(copied)
