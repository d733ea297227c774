"""The weights of the best measurement so far, and whether measuring has stopped to find better ones."""

import os
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch.nn import Parameter

from contracts.pipeline import TrainingConfig
from trainer.engine.checkpoints import Standing

_FILE = "best.safetensors"


class Best:
    """Kept as a file in the run's work directory, and in its checkpoints, where the configuration asks for it."""

    def __init__(self, config: TrainingConfig, directory: Path) -> None:
        self.is_wanted = config.keep_best or config.early_stopping_patience is not None
        self._patience = config.early_stopping_patience
        self._threshold = config.early_stopping_threshold
        self._file = directory / _FILE

    @property
    def is_kept(self) -> bool:
        return self._file.exists()

    def judge(self, loss: float, standing: Standing, weights: dict[str, Parameter]) -> None:
        """Notes a measurement in `standing`, and keeps the weights when it is the best so far."""
        # Patience asks for more than the best by a hair, which is still worth keeping.
        better = standing.best_loss is None or loss < standing.best_loss - self._threshold
        standing.worse = 0 if better else standing.worse + 1
        if standing.best_loss is None or loss < standing.best_loss:
            standing.best_loss, standing.best_step = loss, standing.step
            if self.is_wanted:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                save_file({name: weight.detach().contiguous() for name, weight in weights.items()}, self._file)

    def is_out_of_patience(self, standing: Standing) -> bool:
        return self._patience is not None and standing.worse >= self._patience

    def put_into(self, checkpoint: Path) -> None:
        if self.is_kept:
            os.link(self._file, checkpoint / _FILE)

    def take_from(self, checkpoint: Path) -> None:
        if (checkpoint / _FILE).exists():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkpoint / _FILE, self._file)

    def restore(self, weights: dict[str, Parameter]) -> bool:
        """Puts the best weights back; False when none are kept."""
        if not self.is_kept:
            return False
        for name, stored in load_file(self._file).items():
            weights[name].data.copy_(stored)
        return True
