"""How a model is fine-tuned: set up, go on from the last checkpoint, learn step by step, save.

A recipe of our own rather than a framework's: every line of it serves LoRA, QLoRA or full fine-tuning.
"""

from dataclasses import dataclass
from pathlib import Path

from contracts.pipeline import LearningRateChange, TrainingConfig, TrainingEstimate
from trainer.domain.work import CheckpointStore, Progress, Steering
from trainer.engine.crew import Crew
from trainer.engine.machine import device_count
from trainer.engine.models import fetch
from trainer.engine.preparing import FollowerJob, prepare_run


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
    learning_rate_changes: list[LearningRateChange]


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
    devices: int | None = None,
) -> TrainingResult:
    """Fine-tunes `base_model` and writes the adapter, or the whole model, with its tokenizer into `output_dir`.

    Goes on from the newest of `checkpoints`, with the same losses as if it had never stopped. Raises
    `Refused(CONFIG_INVALID)` for a model or a method that cannot be had, `Refused(DATASET_INVALID)` for rows without
    anything to learn, `Refused(TRAINING_FAILED)` when the loss is no number any more, and `Paused`. `devices` is how
    many take part, by default all GPUs.
    """
    directory = fetch(base_model)
    room = min(max_seq_length, config.max_seq_length or max_seq_length)
    job = FollowerJob(model=directory, config=config, rows=rows_train, room=room)
    crew = Crew.lead(devices or device_count(), work_dir / "rendezvous", job.model_dump_json())
    try:
        prepared = prepare_run(job, rows_eval, crew, work_dir, progress)
        run, machine = prepared.run, prepared.machine
        resumed = run.resume(checkpoints)
        run.learn(checkpoints, steering)
        run.save(output_dir)
    finally:
        crew.disband()
    if chat_template is not None:
        prepared.tokenizer.chat_template = chat_template
    prepared.tokenizer.save_pretrained(output_dir)
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
        learning_rate_changes=run.kept_changes,
    )
