"""A run made ready, in the same way by the process that leads it and by those that follow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.base import Message
from contracts.pipeline import TrainingConfig
from trainer.domain.work import Progress
from trainer.engine.crew import Crew
from trainer.engine.machine import Machine, pick_machine
from trainer.engine.models import load_config, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.run import Run
from trainer.engine.tasks import prepare_task
from trainer.engine.trainable import make_trainable, speed_up


class FollowerJob(Message):
    """What it takes to prepare a run. `room` is how many tokens a row, or a packed sequence, may have."""

    model: Path
    config: TrainingConfig
    rows: Path
    room: int


@dataclass(frozen=True)
class Prepared:
    """A run before its first step."""

    run: Run
    machine: Machine
    tokenizer: Any


def prepare_run(job: FollowerJob, rows_eval: Path | None, crew: Crew, work_dir: Path, progress: Progress) -> Prepared:
    """Loads the model and the rows. Raises `Refused` as `train` does."""
    config = job.config
    tokenizer = load_tokenizer(job.model)
    task = prepare_task(config, tokenizer, job.rows, rows_eval, job.room)
    architecture = load_config(job.model)
    machine = pick_machine(architecture.hidden_size, config.precision, crew.rank)
    model = make_trainable(job.model, config, machine)
    objective = Objective(model, machine)
    quickened = speed_up(model, config, machine)
    run = Run(model, architecture, objective, task, config, machine, crew, job.room, work_dir, progress)
    run.describe(quickened)
    crew.join(machine.device)
    return Prepared(run, machine, tokenizer)
