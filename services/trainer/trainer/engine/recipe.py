"""How a model is fine-tuned: set up, go on from the last checkpoint, learn step by step, save.

A recipe of our own rather than a framework's: every line of it serves LoRA, QLoRA or full fine-tuning on one device.
"""

import math
import shutil
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from contracts.base import RefusalCode, Refused
from contracts.pipeline import TrainingConfig
from trainer.domain.batches import MicroBatch, plan_run
from trainer.domain.schedule import learning_rate, step_seed, steps_per_epoch, total_steps
from trainer.domain.steering import StepSteering
from trainer.domain.work import CheckpointStore, Paused, Progress, Steering
from trainer.engine.checkpoints import Standing, fingerprint, read_checkpoint, write_checkpoint
from trainer.engine.evaluation import measure
from trainer.engine.examples import Examples, read_rows, tokenise
from trainer.engine.machine import pick_machine
from trainer.engine.models import fetch, load_config, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.trainable import make_optimizer, make_trainable, spare_memory

_MEASURED_ROWS = 256
"""Held-out rows that are measured after each epoch; the evaluation agent measures all of them."""
_MEASURED_AT_ONCE = 8


@dataclass(frozen=True)
class TrainingResult:
    """What a run achieved. Losses are nats a token, `tokens` those that went through the model without padding."""

    steps: int
    epochs: float
    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    resumed_from_step: int


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
    steering: Steering | None = None,
) -> TrainingResult:
    """Fine-tunes `base_model` and writes the adapter, or the whole model, with its tokenizer into `output_dir`.

    Goes on from the newest of `checkpoints`, with the same losses as if it had never stopped. Raises `Paused`,
    `Refused(CONFIG_INVALID)` for a model or a method that cannot be had, `Refused(DATASET_INVALID)` for rows without
    anything to learn and `Refused(TRAINING_FAILED)` when the loss is no number any more.
    """
    directory = fetch(base_model)
    tokenizer = load_tokenizer(directory)
    examples = tokenise(read_rows(rows_train), tokenizer, max_seq_length, whole=config.train_on_inputs)
    held_out = None if rows_eval is None else _held_out(rows_eval, tokenizer, max_seq_length)
    run = Run(directory, config, examples, held_out, progress)
    resumed = run.resume(checkpoints, work_dir)
    run.learn(checkpoints, work_dir, steering or StepSteering())
    run.save(output_dir)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(output_dir)
    return run.result(resumed)


class Run:
    """A training run: the model, its optimizer and how far they have come."""

    def __init__(
        self, directory: Path, config: TrainingConfig, examples: Examples, held_out: Examples | None, progress: Progress
    ) -> None:
        self._config = config
        self._examples = examples
        self._held_out = held_out
        self._progress = progress
        self._total = total_steps(len(examples), config)
        self._per_epoch = steps_per_epoch(len(examples), config)
        self._fingerprint = fingerprint(config, examples)
        architecture = load_config(directory)
        self._machine = pick_machine(architecture.hidden_size)
        self._model = make_trainable(directory, config, self._machine)
        widest = config.batch_size * max(examples.lengths)
        self._spares_memory = spare_memory(self._model, architecture, widest, self._machine)
        self._weights = {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}
        self._optimizer = make_optimizer(self._weights, config)
        self._objective = Objective(self._model, self._machine)
        self._stored_dtype = architecture.dtype
        self._standing = Standing()
        self._losses: list[Tensor] = []
        self._gradient_norm = torch.zeros(())
        self._clock = time.perf_counter()
        self._describe()

    def resume(self, checkpoints: CheckpointStore, work_dir: Path) -> int:
        """Takes up the newest checkpoint of this run; its step, 0 when there is none."""
        directory = _emptied(work_dir / "resumed")
        if checkpoints.latest(directory) is not None:
            standing = read_checkpoint(directory, self._weights, self._optimizer, self._fingerprint)
            if standing is None:
                self._progress.log("WARN", "The checkpoint is of another configuration or data set: starting anew")
            else:
                self._standing = standing
                self._progress.log("INFO", f"Going on from the checkpoint of step {standing.step} of {self._total}")
        shutil.rmtree(directory)
        return self._standing.step

    def learn(self, checkpoints: CheckpointStore, work_dir: Path, steering: Steering) -> None:
        """Takes all steps that are left, with a record, a measurement and a checkpoint whenever one is due.

        Raises `Paused` once a checkpoint is kept, if that is wanted.
        """
        self._model.train()
        self._clock = time.perf_counter()
        recorded = replace(self._standing)
        for micro_batches in plan_run(self._examples.lengths, self._config, self._standing.step):
            self._heed(steering, checkpoints, work_dir)
            self._step(micro_batches)
            step, last = self._standing.step, self._standing.step == self._total
            if step % self._config.logging_steps == 0 or last:
                recorded = self._record(recorded)
            if step % self._per_epoch == 0 or last:
                self._measure()
            if step % self._config.save_steps == 0 and not last:
                self._keep(checkpoints, work_dir)

    def save(self, output_dir: Path) -> None:
        """Writes the adapter, or the whole model in the precision it came in, as safetensors."""
        if self._config.method == "full":
            self._model.to(self._stored_dtype).save_pretrained(output_dir)
        else:
            self._model.save_pretrained(output_dir, save_embedding_layers=False)

    def result(self, resumed_from_step: int) -> TrainingResult:
        standing = self._standing
        return TrainingResult(
            steps=standing.step,
            epochs=standing.step / self._per_epoch,
            first_loss=standing.first_loss or 0.0,
            final_loss=standing.final_loss or 0.0,
            tokens=standing.tokens,
            seconds=standing.seconds,
            resumed_from_step=resumed_from_step,
        )

    def _step(self, micro_batches: list[MicroBatch]) -> None:
        """One optimizer step. Every answer token of its micro-batches weighs the same."""
        standing, config = self._standing, self._config
        torch.manual_seed(step_seed(config.seed, standing.step))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(standing.step, self._total, config)
        batches = [self._objective.collate(self._examples, rows) for rows in micro_batches]
        scale = 1 / sum(len(batch.targets) for batch in batches)
        self._losses.extend(self._objective.backward(batch, scale) for batch in batches)
        self._gradient_norm = clip_grad_norm_(self._weights.values(), config.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        standing.step += 1
        standing.window_steps += 1
        standing.tokens += sum(batch.size for batch in batches)

    def _heed(self, steering: Steering, checkpoints: CheckpointStore, work_dir: Path) -> None:
        step = self._standing.step
        for adjustment in steering.adjustments():
            self._config = self._config.model_copy(update={"learning_rate": adjustment.learning_rate})
            self._progress.log(
                "INFO",
                f"learning_rate is {adjustment.learning_rate:g} from step {step + 1} on, as {adjustment.by} wants it",
                step=step,
                learning_rate=adjustment.learning_rate,
                adjustment=adjustment.number,
            )
        if steering.wants_pause():
            self._keep(checkpoints, work_dir)
            raise Paused

    def _settle(self) -> None:
        """Fetches what the steps since the last call lost, which a GPU may still be computing, and the time they took.

        Raises `Refused(TRAINING_FAILED)` when that is no number: what is learnt from there on is worthless.
        """
        standing = self._standing
        standing.window_loss += sum(loss.item() for loss in self._losses)
        self._losses.clear()
        standing.seconds += time.perf_counter() - self._clock
        self._clock = time.perf_counter()
        if not math.isfinite(standing.window_loss):
            raise Refused(
                RefusalCode.TRAINING_FAILED,
                f"By step {standing.step} the loss is no number any more: try a lower learning_rate or more warm-up",
                {"step": standing.step},
            )

    def _record(self, before: Standing) -> Standing:
        """Logs the window that ends here; returns the standing for the next call."""
        self._settle()
        standing = self._standing
        loss = standing.window_loss / standing.window_steps
        standing.first_loss = loss if standing.first_loss is None else standing.first_loss
        standing.final_loss = loss
        standing.window_loss, standing.window_steps = 0.0, 0
        self._progress.log(
            "METRIC",
            f"step {standing.step}/{self._total} loss {loss:.4f}",
            **self._place(),
            loss=loss,
            learning_rate=learning_rate(standing.step - 1, self._total, self._config),
            grad_norm=self._gradient_norm.item(),
            tokens_per_second=(standing.tokens - before.tokens) / max(1e-9, standing.seconds - before.seconds),
        )
        return replace(standing)

    def _measure(self) -> None:
        """Logs the loss on held-out rows, which no time is counted for."""
        if self._held_out is None:
            return
        self._settle()
        self._model.eval()
        loss = measure(self._objective, self._held_out, _MEASURED_AT_ONCE, self._machine).loss
        self._model.train()
        message = f"step {self._standing.step}/{self._total} held-out loss {loss:.4f}"
        self._progress.log("METRIC", message, **self._place(), eval_loss=loss)
        self._clock = time.perf_counter()

    def _keep(self, checkpoints: CheckpointStore, work_dir: Path) -> None:
        self._settle()
        step = self._standing.step
        directory = _emptied(work_dir / f"checkpoint-{step}")
        write_checkpoint(directory, self._weights, self._optimizer, self._standing, self._fingerprint)
        checkpoints.save(step, directory)
        shutil.rmtree(directory)
        self._clock = time.perf_counter()

    def _place(self) -> dict[str, float]:
        step = self._standing.step
        return {"step": step, "total_steps": self._total, "epoch": step / self._per_epoch}

    def _describe(self) -> None:
        trained = sum(weight.numel() for weight in self._weights.values())
        everything = sum(weight.numel() for weight in self._model.parameters())
        config, examples = self._config, self._examples
        self._progress.log(
            "INFO",
            f"Training {trained:,} of {everything:,} weights ({config.method}) on {len(examples):,} rows,"
            f" {len(examples.tokens):,} tokens, in {self._total:,} steps"
            f" on {self._machine.device.type} in {self._machine.precision}"
            + (", activations computed twice to fit the memory" if self._spares_memory else ""),
        )
        if examples.skipped:
            self._progress.log("WARN", f"{examples.skipped:,} rows have no answer within max_seq_length: skipped")


def _held_out(path: Path, tokenizer: Any, max_length: int) -> Examples:
    return tokenise(islice(read_rows(path), _MEASURED_ROWS), tokenizer, max_length)


def _emptied(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
