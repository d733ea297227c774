"""A trained model in the formats that others read."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportFormat, TrainingMethod
from trainer.domain.exports import check_formats
from trainer.domain.work import Progress
from trainer.engine.models import fetch, load_model, load_tokenizer

_ADAPTER_WEIGHTS, _ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def export(
    base_model: Path | str,
    trained_dir: Path,
    method: TrainingMethod,
    formats: Sequence[ExportFormat],
    *,
    reference: str,
    chat_template: str | None,
    output_dir: Path,
    progress: Progress,
) -> dict[ExportFormat, Path]:
    """Writes the model that `train` left in `trained_dir` in each format, into a directory each below `output_dir`.

    Every format holds the tokenizer and the chat template that the model was trained with, so that who serves it asks
    it in the same form. `reference` is what an adapter names as its base: it must mean something on other machines.
    Raises `Refused(CONFIG_INVALID)` for a format that such a model has not.
    """
    check_formats(method, formats)
    directory = fetch(base_model)
    tokenizer = load_tokenizer(directory)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    written: dict[ExportFormat, Path] = {}
    for kind in dict.fromkeys(formats):
        destination = output_dir / kind
        destination.mkdir(parents=True)
        if kind == "adapter":
            _write_adapter(trained_dir, reference, destination)
        elif method == "full":
            _copy_model(trained_dir, destination)
        else:
            _merge(directory, trained_dir, destination)
        tokenizer.save_pretrained(destination)
        size = sum(file.stat().st_size for file in destination.iterdir())
        progress.log("INFO", f"Exported as {kind}: {size / 1e6:,.1f} MB")
        written[kind] = destination
    return written


def _write_adapter(trained_dir: Path, reference: str, destination: Path) -> None:
    shutil.copy(trained_dir / _ADAPTER_WEIGHTS, destination)
    config: dict[str, Any] = json.loads((trained_dir / _ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = reference
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (destination / _ADAPTER_CONFIG).write_text(text, encoding="utf-8")


def _copy_model(trained_dir: Path, destination: Path) -> None:
    """The model's own files: weights, their index, its configuration."""
    for pattern in ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json"):
        for file in trained_dir.glob(pattern):
            shutil.copy(file, destination)


def _merge(base_dir: Path, adapter_dir: Path, destination: Path) -> None:
    """Adds the adapter to the base's weights, in the precision of the base's files.

    That holds after QLoRA too: adding to weights of 4 bits would lose most of what was learnt.
    Raises `Refused(TRAINING_FAILED)` when the adapter holds what is no number.
    """
    model = PeftModel.from_pretrained(load_model(base_dir), adapter_dir)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise Refused(RefusalCode.TRAINING_FAILED, f"The adapter cannot be merged into its base: {error}") from error
    merged.save_pretrained(destination)
