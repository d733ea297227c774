"""Loads what was exported and compares what it says with what the trained model says, position by position.

That a file loads proves little: with the rows of two projections swapped a model still loads, and half of its most
probable tokens still agree. So logits are compared, of one model at a time: memory holds one, not two.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportCheck, ExportFormat, GgufType
from trainer.engine.gguf import read_back, rounded
from trainer.engine.machine import pick_machine
from trainer.engine.models import load_config, load_model

_ROWS, _WIDTH = 4, 64
_SEED = 20_261_121
_LARGE_BYTES = 8 << 30
"""Weights beyond this are compared in 16 bits, to leave room."""
_NOISE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far logits may be apart, as a share of their length, when the numbers are the same but for rounding."""


@dataclass(frozen=True)
class Examiner:
    """`trained` are the logits `[positions, vocabulary]` of the trained model on the probe, `adapter` and `base_dir`
    where it came from."""

    probe: Tensor
    trained: Tensor
    base_dir: Path
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, model_dir: Path, adapter_dir: Path | None) -> "Examiner":
        """Asks the trained model: the one in `model_dir`, with the adapter if there is one."""
        config = load_config(model_dir)
        size = sum(file.stat().st_size for file in model_dir.glob("*.safetensors"))
        dtype = torch.float32 if size < _LARGE_BYTES else torch.bfloat16
        device = pick_machine(config.hidden_size).device
        generator = torch.Generator().manual_seed(_SEED)
        probe = torch.randint(0, config.vocab_size, (_ROWS, _WIDTH), generator=generator)
        model = load_model(model_dir, dtype)
        if adapter_dir is not None:
            model = PeftModel.from_pretrained(model, adapter_dir)
        return cls(probe, _logits(model, probe, device), model_dir, dtype, device)

    def check_adapter(self, folder: Path) -> ExportCheck:
        said = self._say(PeftModel.from_pretrained(load_model(self.base_dir, self.dtype), folder))
        return self._confirmed("adapter", said, self.trained, self.dtype)

    def check_merged(self, folder: Path) -> ExportCheck:
        """Within the precision that its weights are kept in."""
        model = load_model(folder)
        kept = model.dtype
        said = self._say(model.to(self.dtype))
        return self._confirmed("merged", said, self.trained, max(kept, self.dtype, key=_noise))

    def check_gguf(self, whole: Path, file: Path, type_: GgufType) -> ExportCheck:
        """What is read from the file must be the model rounded to its type, and nothing else but that rounding."""
        model = load_model(whole, self.dtype)
        rounded(model, type_)
        expected = self._say(model)
        del model
        return self._confirmed("gguf", self._say(read_back(file, self.dtype)), expected, self.dtype, type_)

    def _say(self, model: Any) -> Tensor:
        return _logits(model, self.probe, self.device)

    def _confirmed(
        self,
        format_: ExportFormat,
        said: Tensor,
        expected: Tensor,
        precision: torch.dtype,
        quantization: GgufType | None = None,
    ) -> ExportCheck:
        apart = ((said - expected).norm() / expected.norm()).item()
        if not apart <= _noise(precision):  # holds for what is no number, too
            what = format_ if quantization is None else f"{format_} {quantization}"
            raise Refused(
                RefusalCode.TRAINING_FAILED,
                f"The export {what} was loaded again and does not say what the trained model says:"
                f" its logits are {apart:.1%} apart",
                {"format": format_, "quantization": quantization, "apart": apart},
            )
        agree = (said.argmax(-1) == self.trained.argmax(-1)).float().mean().item()
        return ExportCheck(format=format_, quantization=quantization, positions=len(said), top1_agreement=agree)


def _noise(dtype: torch.dtype) -> float:
    return _NOISE.get(dtype, _NOISE[torch.bfloat16])


def _logits(model: Any, probe: Tensor, device: torch.device) -> Tensor:
    """`[positions, vocabulary]` in 32 bits, on the CPU."""
    with torch.inference_mode():
        said: Tensor = model.to(device).eval()(input_ids=probe.to(device), use_cache=False).logits
    return said.flatten(0, 1).float().cpu()
