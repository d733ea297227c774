"""How a model is fine-tuned: set up, go on from the last checkpoint, learn step by step, save.

A recipe of our own rather than a framework's: every line of it serves LoRA, QLoRA or full fine-tuning.
"""

from dataclasses import dataclass
from pathlib import Path

from contracts.pipeline import TrainingConfig, TrainingEstimate
from trainer.domain.work import CheckpointStore, Progress, Steering
from trainer.engine.machine import pick_machine
from trainer.engine.models import fetch, load_config, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.run import Run
from trainer.engine.tasks import prepare_task
from trainer.engine.trainable import make_trainable, speed_up


@dataclass(frozen=True)
class TrainingResult:
    """What a run achieved. Losses are nats a token, `tokens` those that went through the model without padding.

    `eval_loss` is that of the weights that were kept, measured after `best_step`.
    """

    steps: int
    epochs: float
    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    resumed_from_step: int
    eval_loss: float | None
    best_step: int | None
    stopped_early: bool
    peak_memory_bytes: int
    estimate: TrainingEstimate


def train(
    base_model: Path | str,
    config: TrainingConfig,
    rows_train: Path,
    rows_eval: Path | None,
    *,
    chat_template: str | None,
    max_seq_length: int,
    work_dir: Path,
    output_dir: Path,
    checkpoints: CheckpointStore,
    progress: Progress,
    steering: Steering,
) -> TrainingResult:
    """Fine-tunes `base_model` and writes the adapter, or the whole model, with its tokenizer into `output_dir`.

    Goes on from the newest of `checkpoints`, with the same losses as if it had never stopped. Raises
    `Refused(CONFIG_INVALID)` for a model or a method that cannot be had, `Refused(DATASET_INVALID)` for rows without
    anything to learn, `Refused(TRAINING_FAILED)` when the loss is no number any more, and `Paused`.
    """
    directory = fetch(base_model)
    tokenizer = load_tokenizer(directory)
    room = min(max_seq_length, config.max_seq_length or max_seq_length)
    task = prepare_task(config, tokenizer, rows_train, rows_eval, room)
    architecture = load_config(directory)
    machine = pick_machine(architecture.hidden_size, config.precision)
    model = make_trainable(directory, config, machine)
    objective = Objective(model, machine)
    quickened = speed_up(model, config, machine)
    run = Run(model, architecture, objective, task, config, machine, room, work_dir, progress)
    run.describe(quickened)
    resumed = run.resume(checkpoints)
    run.learn(checkpoints, steering)
    run.save(output_dir)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(output_dir)
    standing = run.standing
    return TrainingResult(
        steps=standing.step,
        epochs=standing.step / run.plan.per_epoch,
        first_loss=standing.first_loss or 0.0,
        final_loss=standing.final_loss or 0.0,
        tokens=standing.tokens,
        seconds=standing.seconds,
        resumed_from_step=resumed,
        eval_loss=run.kept_loss,
        best_step=standing.best_step or None,
        stopped_early=standing.step < run.plan.total,
        peak_memory_bytes=machine.peak_memory(),
        estimate=run.estimate,
    )
