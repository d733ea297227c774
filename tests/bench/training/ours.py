"""Our trainer on the rows of the benchmark, as a job runs it. A process of its own: `ours.py <job as JSON>`."""

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from contracts.orchestrator import LogLevel
from contracts.pipeline import TrainingConfig
from trainer.domain.steering import StepSteering
from trainer.engine.machine import pick_machine
from trainer.engine.models import load_config
from trainer.engine.recipe import train


class Nowhere:
    """A `CheckpointStore` that is never asked to keep anything: `save_steps` lies beyond the run."""

    def save(self, step: int, directory: Path) -> None: ...

    def latest(self, into: Path) -> int | None:
        return None


class Speeds:
    """A `Progress` that hears how fast each step was."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.ended: list[float] = []
        self.worked: list[float] = []
        self.rates: list[float] = []

    def log(self, level: LogLevel, message: str, **numbers: float) -> None:
        if "loss" in numbers:
            self.ended.append(time.perf_counter())
            self.worked.append(time.process_time())
            self.losses.append(numbers["loss"])
            self.rates.append(numbers["tokens_per_second"])
        else:
            print(message, file=sys.stderr)


def main() -> None:
    job: dict[str, Any] = json.loads(sys.argv[1])
    config = TrainingConfig.model_validate({**job["config"], "logging_steps": 1, "save_steps": 1_000_000})
    speeds = Speeds()
    with tempfile.TemporaryDirectory() as name:
        result = train(
            Path(job["model"]),
            config,
            Path(job["rows"]),
            None,
            chat_template=None,
            max_seq_length=job["max_length"],
            work_dir=Path(name) / "work",
            output_dir=Path(name) / "model",
            checkpoints=Nowhere(),
            progress=speeds,
            steering=StepSteering(),
        )
    warm = job["warm_up"]
    steps = zip(speeds.rates[warm:], pairwise(speeds.ended[warm - 1 :]), strict=True)
    seen = {
        "tokens": sum(rate * (ended - began) for rate, (began, ended) in steps),
        "seconds": speeds.ended[-1] - speeds.ended[warm - 1],
        "cpu_seconds": speeds.worked[-1] - speeds.worked[warm - 1],
        "peak_bytes": result.peak_memory_bytes,
        "losses": speeds.losses,
        "matrix_rate": pick_machine(load_config(Path(job["model"])).hidden_size).matrix_rate(),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
