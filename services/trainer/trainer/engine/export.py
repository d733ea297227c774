"""A trained model in the formats that others read, each loaded again and compared before it is handed on."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportCheck, ExportConfig, ExportedFile, ExportFormat, TrainingMethod
from trainer.domain.exports import check_formats
from trainer.domain.work import Progress
from trainer.engine.export_check import Examiner
from trainer.engine.gguf import check_writable, write_gguf
from trainer.engine.models import fetch, load_config, load_model, load_tokenizer

_ADAPTER_WEIGHTS, _ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Exported:
    """The directory of each format, its files, and what came of loading it again."""

    directories: Mapping[ExportFormat, Path]
    files: list[ExportedFile]
    checks: list[ExportCheck]


def export(
    base_model: Path | str,
    trained_dir: Path,
    method: TrainingMethod,
    config: ExportConfig,
    *,
    reference: str,
    name: str,
    chat_template: str | None,
    output_dir: Path,
    progress: Progress,
) -> Exported:
    """Writes the model that `train` left in `trained_dir` in each format, into a directory each below `output_dir`.

    Every format holds the tokenizer and the chat template that the model was trained with, so that who serves it asks
    it in the same form. `reference` is what an adapter names as its base: it must mean something on other machines.
    `name` is what a GGUF file calls itself. Raises `Refused`: CONFIG_INVALID for a format that such a model has not,
    TRAINING_FAILED for an export that does not say what the trained model says.
    """
    check_formats(method, config.formats)
    directory = fetch(base_model)
    tokenizer = load_tokenizer(directory)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if "gguf" in config.formats:
        check_writable(load_config(directory), tokenizer)
    work = _Exporter(directory, trained_dir, method, tokenizer, output_dir)
    directories: dict[ExportFormat, Path] = {}
    for kind in dict.fromkeys(config.formats):
        directories[kind] = work.write(kind, config, reference=reference, name=name)
        size = sum(file.stat().st_size for file in directories[kind].iterdir())
        progress.log("INFO", f"Exported as {kind}: {size / 1e6:,.1f} MB")
    checks = _check(work, directories, config, progress)
    files = [file for kind, folder in directories.items() for file in _files(kind, folder)]
    return Exported(directories, files, checks)


@dataclass(frozen=True)
class _Exporter:
    base_dir: Path
    trained_dir: Path
    method: TrainingMethod
    tokenizer: Any
    output_dir: Path

    def write(self, kind: ExportFormat, config: ExportConfig, *, reference: str, name: str) -> Path:
        destination = self.output_dir / kind
        if kind == "merged":
            return self.whole()
        destination.mkdir(parents=True)
        if kind == "adapter":
            _write_adapter(self.trained_dir, reference, destination)
            self.tokenizer.save_pretrained(destination)
            return destination
        whole = self.whole()
        for type_ in dict.fromkeys(config.quantization):
            file = destination / f"model-{type_}.gguf"
            write_gguf(whole, self.tokenizer, load_config(whole), file, type_, name=name)
        return destination

    def whole(self) -> Path:
        """The directory of the whole model, written once."""
        destination = self.output_dir / "merged"
        if not destination.exists():
            destination.mkdir(parents=True)
            if self.method == "full":
                _copy_model(self.trained_dir, destination)
            else:
                _merge(self.base_dir, self.trained_dir, destination)
            self.tokenizer.save_pretrained(destination)
        return destination


def _check(
    work: _Exporter, directories: Mapping[ExportFormat, Path], config: ExportConfig, progress: Progress
) -> list[ExportCheck]:
    adapter = None if work.method == "full" else work.trained_dir
    examiner = Examiner.of(work.base_dir if adapter else work.trained_dir, adapter)
    checks: list[ExportCheck] = []
    for kind, folder in directories.items():
        if kind == "adapter":
            checks.append(examiner.check_adapter(folder))
        elif kind == "merged":
            checks.append(examiner.check_merged(folder))
        else:
            checks += [
                examiner.check_gguf(work.whole(), folder / f"model-{type_}.gguf", type_)
                for type_ in dict.fromkeys(config.quantization)
            ]
    for check in checks:
        what = check.format if check.quantization is None else f"{check.format} {check.quantization}"
        progress.log("INFO", f"Loaded {what} again: its most probable token is the same at {check.top1_agreement:.1%}")
    return checks


def _files(kind: ExportFormat, folder: Path) -> Iterator[ExportedFile]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as reader:
                sha256 = hashlib.file_digest(reader, "sha256").hexdigest()
            name = file.relative_to(folder).as_posix()
            yield ExportedFile(format=kind, name=name, size=file.stat().st_size, sha256=sha256)


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
