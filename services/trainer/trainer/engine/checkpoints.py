"""The whole state of a training run as files: safetensors and JSON, so that reading one never runs code.

Learning rate, batches and random numbers are functions of the step (`domain.schedule`, `domain.batches`), so the state
is: the trainable weights, the optimizer's moments, the step, and what was measured on the way.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from contracts.pipeline import LearningRateChange, TrainingConfig
from trainer.engine.examples import Examples

_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_SEPARATOR = "::"


@dataclass
class Standing:
    """How far a run has come. `step` counts the optimizer steps that are done, `seconds` those spent on them.

    `window_loss` sums the losses of the `window_steps` since the last record; `first_loss` and `final_loss` are the
    means of the first and the last window that was recorded. `best_loss` is the lowest that was measured on held-out
    rows, after `best_step`, and `worse` counts the measurements since one that was clearly better. `peak_rate` is the
    learning rate that a person set, by adjustment number `adjustment`, in place of the configuration's, and
    `rate_changes` are all that anybody set.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    window_loss: float = 0.0
    window_steps: int = 0
    first_loss: float | None = None
    final_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    worse: int = 0
    adjustment: int = 0
    peak_rate: float | None = None
    rate_changes: list[LearningRateChange] = field(default_factory=list)


_STANDING: TypeAdapter[Standing] = TypeAdapter(Standing)


def fingerprint(config: TrainingConfig, examples: Examples) -> str:
    """Tells runs apart: a checkpoint of another configuration or other rows must not be taken up."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    for array in (examples.tokens, examples.starts, examples.answers):
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_checkpoint(
    directory: Path, weights: dict[str, Parameter], optimizer: Optimizer, standing: Standing, run: str
) -> None:
    """Writes the state of `run` into an empty directory."""
    moments = {
        f"{name}{_SEPARATOR}{key}": value
        for name, weight in weights.items()
        for key, value in optimizer.state[weight].items()
    }
    save_file({name: weight.detach() for name, weight in weights.items()}, directory / _WEIGHTS)
    save_file(moments, directory / _OPTIMIZER)
    state = {"run": run, **_STANDING.dump_python(standing, mode="json")}
    (directory / _STATE).write_text(json.dumps(state), encoding="utf-8")


def read_checkpoint(directory: Path, weights: dict[str, Parameter], optimizer: Optimizer, run: str) -> Standing | None:
    """Puts weights and optimizer back into the state in `directory`; None, and no change, if it is of another run."""
    state: dict[str, Any] = json.loads((directory / _STATE).read_text(encoding="utf-8"))
    if state["run"] != run:
        return None
    stored = load_file(directory / _WEIGHTS)
    if stored.keys() != weights.keys():
        return None
    for name, weight in weights.items():
        weight.data.copy_(stored[name])
    _restore_moments(load_file(directory / _OPTIMIZER), weights, optimizer)
    return _STANDING.validate_python({part.name: state[part.name] for part in fields(Standing) if part.name in state})


def _restore_moments(moments: dict[str, Tensor], weights: dict[str, Parameter], optimizer: Optimizer) -> None:
    for name, moment in moments.items():
        weight, key = name.rsplit(_SEPARATOR, 1)
        optimizer.state[weights[weight]][key] = moment.to(weights[weight].device)
