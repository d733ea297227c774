import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportConfig, ExportFormat, TrainingMethod
from trainer.engine.export import export
from trainer.engine.gguf import read_back
from trainer.engine.models import load_model, load_tokenizer

TEMPLATE = "{% for message in messages %}{{ 'Q: ' + message['content'] + '\nA: ' }}{% endfor %}"
ADAPTER = "adapter_model.safetensors"
PROBE = torch.arange(10).unsqueeze(0)


@pytest.fixture
def adapter(base_model: Path, tmp_path: Path) -> Path:
    """An adapter that changes what the model says."""
    torch.manual_seed(5)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(load_model(base_model), config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def _export(
    base_model: Path,
    trained: Path,
    out: Path,
    progress: Any,
    *formats: ExportFormat,
    method: TrainingMethod = "lora",
    chat_template: str | None = TEMPLATE,
) -> dict[ExportFormat, Path]:
    return dict(
        export(
            base_model,
            trained,
            method,
            ExportConfig(formats=list(formats)),
            reference="team/base",
            name="base of a test",
            chat_template=chat_template,
            output_dir=out / "exports",
            progress=progress,
        ).directories
    )


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=PROBE).logits
    return logits


def test_an_adapter_names_its_base_by_reference_and_not_by_a_path_of_this_machine(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, "adapter")["adapter"]
    assert json.loads((written / "adapter_config.json").read_text())["base_model_name_or_path"] == "team/base"
    assert str(base_model) not in "".join(file.read_text() for file in written.glob("*.json"))


def test_an_exported_adapter_says_what_was_trained(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, "adapter")["adapter"]
    trained = _logits(PeftModel.from_pretrained(load_model(base_model), adapter))
    exported = _logits(PeftModel.from_pretrained(load_model(base_model), written))
    torch.testing.assert_close(exported, trained)
    assert not torch.allclose(trained, _logits(load_model(base_model)), atol=0.1)


def test_a_merged_model_says_without_peft_what_was_trained(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, "merged")["merged"]
    trained = _logits(PeftModel.from_pretrained(load_model(base_model), adapter))
    torch.testing.assert_close(_logits(load_model(written)), trained, rtol=1e-4, atol=1e-4)


def test_a_merged_model_keeps_the_precision_of_its_base(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    half = Path(shutil.copytree(base_model, tmp_path / "half"))
    weights = {name: weight.bfloat16() for name, weight in load_file(half / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    written = _export(half, adapter, tmp_path, progress, "merged")["merged"]
    assert {weight.dtype for weight in load_file(written / "model.safetensors").values()} == {torch.bfloat16}


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_every_format_is_asked_in_the_form_of_its_training(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any, kind: ExportFormat
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, kind)[kind]
    assert (written / "chat_template.jinja").read_text() == TEMPLATE
    tokenizer = load_tokenizer(written)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "red?"}], return_dict=False)
    assert tokenizer.decode(ids) == "Q: red?\nA: "


def test_the_bases_own_chat_template_is_kept_where_training_had_none(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, "adapter", chat_template=None)["adapter"]
    assert load_tokenizer(written).chat_template == load_tokenizer(base_model).chat_template


def test_all_formats_asked_for_are_written_and_none_has_pickles_or_code(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    written = _export(base_model, adapter, tmp_path, progress, "adapter", "merged", "adapter")
    assert set(written) == {"adapter", "merged"}
    for directory in written.values():
        assert {file.suffix for file in directory.iterdir()} <= {".safetensors", ".json", ".jinja"}
    assert [line for line in progress.messages("INFO") if "100.0%" in line] == progress.messages("INFO")[2:]


def test_a_fully_trained_model_is_exported_whole(base_model: Path, tmp_path: Path, progress: Any) -> None:
    written = _export(base_model, base_model, tmp_path, progress, "merged", method="full")["merged"]
    torch.testing.assert_close(_logits(load_model(written)), _logits(load_model(base_model)))
    assert (written / "chat_template.jinja").read_text() == TEMPLATE


@pytest.mark.parametrize(("method", "kind"), [("full", "adapter"), ("lora", "gguf")])
def test_a_format_that_the_model_has_not_is_refused_and_nothing_written(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any, method: TrainingMethod, kind: ExportFormat
) -> None:
    other = Path(shutil.copytree(base_model, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"architectures": ["PhiForCausalLM"]}))
    with pytest.raises(Refused) as refused:
        _export(other, adapter, tmp_path, progress, "merged", kind, method=method)
    assert refused.value.code == RefusalCode.CONFIG_INVALID
    assert not (tmp_path / "exports").exists()


def test_an_adapter_that_is_no_number_is_not_merged(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    broken = {name: weight * float("nan") for name, weight in weights.items()}
    save_file(broken, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match="cannot be merged") as refused:
        _export(base_model, adapter, tmp_path, progress, "merged")
    assert refused.value.code == RefusalCode.TRAINING_FAILED


def test_a_gguf_of_every_type_asked_for_is_written_checked_and_listed(
    base_model: Path, adapter: Path, tmp_path: Path, progress: Any
) -> None:
    asked = ExportConfig.model_validate({"formats": ["gguf", "adapter"], "quantization": ["f32", "q4_0"]})
    exported = export(
        base_model,
        adapter,
        "lora",
        asked,
        reference="team/base",
        name="a test",
        chat_template=TEMPLATE,
        output_dir=tmp_path / "exports",
        progress=progress,
    )
    assert set(exported.directories) == {"gguf", "adapter"}
    files = {file.name: file for file in exported.files if file.format == "gguf"}
    assert set(files) == {"model-F32.gguf", "model-Q4_0.gguf"}
    written = exported.directories["gguf"] / "model-F32.gguf"
    assert files["model-F32.gguf"].sha256 == hashlib.sha256(written.read_bytes()).hexdigest()
    agreed = {check.quantization or check.format: check.top1_agreement for check in exported.checks}
    assert (agreed["F32"], agreed["adapter"]) == (1.0, 1.0)
    assert 0.3 < agreed["Q4_0"] < 1.0
    trained = _logits(PeftModel.from_pretrained(load_model(base_model), adapter))
    torch.testing.assert_close(_logits(read_back(written, torch.float32)), trained, rtol=1e-3, atol=1e-3)


def test_a_gguf_of_a_model_that_was_trained_whole(base_model: Path, tmp_path: Path, progress: Any) -> None:
    written = _export(base_model, base_model, tmp_path, progress, "gguf", method="full")
    assert set(written) == {"gguf"}


@pytest.mark.parametrize("kind", ["adapter", "merged", "gguf"])
def test_an_export_that_does_not_say_what_was_trained_is_refused(
    base_model: Path,
    adapter: Path,
    tmp_path: Path,
    progress: Any,
    kind: ExportFormat,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writers are broken, each in its way: an adapter without effect, a merge without it, rows left in place."""
    weights = {name: torch.zeros_like(weight) for name, weight in load_file(adapter / ADAPTER).items()}

    def forgets(trained_dir: Path, reference: str, destination: Path) -> None:
        shutil.copytree(adapter, destination, dirs_exist_ok=True)
        save_file(weights, destination / ADAPTER, metadata={"format": "pt"})

    monkeypatch.setattr("trainer.engine.export._write_adapter", forgets)
    if kind == "gguf":
        monkeypatch.setattr("trainer.engine.gguf.writing._in_pairs", lambda data, heads: data)
    else:
        merge = lambda base, _, out: load_model(base).save_pretrained(out)  # noqa: E731
        monkeypatch.setattr("trainer.engine.export._merge", merge)
    with pytest.raises(Refused, match=f"export {kind}.* does not say what the trained model says") as refused:
        _export(base_model, adapter, tmp_path, progress, kind)
    assert refused.value.code is RefusalCode.TRAINING_FAILED
