"""A training run: the model, its optimizer and how far they have come."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepAdjustment
from contracts.pipeline import LearningRateChange, TrainingConfig
from trainer.domain.batches import MicroBatch, RunPlan
from trainer.domain.schedule import learning_rate, step_seed
from trainer.domain.work import CheckpointStore, Paused, Progress, Steering
from trainer.engine.best import Best
from trainer.engine.checkpoints import Standing, fingerprint, read_checkpoint, write_checkpoint
from trainer.engine.crew import Crew
from trainer.engine.estimate import count_weights, estimate, estimate_activations
from trainer.engine.machine import Machine
from trainer.engine.objective import Objective
from trainer.engine.tasks import Task
from trainer.engine.trainable import compute_twice, make_optimizer

_GIB = 1 << 30


class Run:
    """Takes the steps of one plan, and keeps, records, measures and heeds what is due between them."""

    def __init__(
        self,
        model: Any,
        architecture: Any,
        objective: Objective,
        task: Task,
        config: TrainingConfig,
        machine: Machine,
        crew: Crew,
        room: int,
        work_dir: Path,
        progress: Progress,
    ) -> None:
        self._model, self._objective, self._task = model, objective, task
        self._config, self._machine, self._progress = config, machine, progress
        self._crew = crew
        self._work_dir = work_dir
        self._stored_dtype = architecture.dtype
        self.plan = RunPlan(task.lengths, config, padded=not objective.packs, room=room)
        self._fingerprint = fingerprint(config, task.examples)
        kept = estimate_activations(architecture, self.plan.widest, machine).kept
        self._computes_twice = self._should_compute_twice(kept)
        if self._computes_twice:
            compute_twice(model)
        self.estimate = estimate(model, architecture, config, self.plan, machine, computed_twice=self._computes_twice)
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._optimizer = make_optimizer(self._weights, config)
        self._best = Best(config, work_dir)
        self.standing = Standing()
        self._kept_step = 0
        self._losses: list[Tensor] = []
        self._gradient_norm = torch.zeros(())
        self._clock = time.perf_counter()

    @property
    def kept_loss(self) -> float | None:
        """The held-out loss of the weights that `save` writes; None when they were not measured."""
        return self.standing.best_loss if self._best.is_wanted else self._last_measured

    _last_measured: float | None = None

    @property
    def kept_changes(self) -> list[LearningRateChange]:
        """What the learning rate was changed to on the way to the weights that `save` writes."""
        standing = self.standing
        last = standing.best_step if self._best.is_kept else standing.step
        return [change for change in standing.rate_changes if change.step <= last]

    def resume(self, checkpoints: CheckpointStore) -> int:
        """Takes up the newest checkpoint of this run; its step, 0 when there is none."""
        directory = _emptied(self._work_dir / "resumed")
        if checkpoints.latest(directory) is not None:
            standing = read_checkpoint(directory, self._weights, self._optimizer, self._fingerprint)
            if standing is None:
                self._progress.log("WARN", "The checkpoint is of another configuration or data set: starting anew")
            else:
                self._best.take_from(directory)
                self.standing, self._kept_step = standing, standing.step
                self._progress.log("INFO", f"Going on from the checkpoint of step {standing.step} of {self.plan.total}")
        shutil.rmtree(directory)
        return self.standing.step

    def learn(self, checkpoints: CheckpointStore, steering: Steering) -> None:
        """Takes all steps that are left, with a record, a measurement and a checkpoint whenever one is due.

        Ends before that when the held-out loss has stopped falling. Raises `Paused` once a checkpoint is kept.
        """
        self._model.train()
        self._crew.hand_out(weight.data for weight in self._weights.values())
        self._clock = time.perf_counter()
        recorded = replace(self.standing)
        for micro_batches in self.plan.steps(self.standing.step):
            if self._best.is_out_of_patience(self.standing):
                break
            self._heed(steering, checkpoints)
            self._step(micro_batches)
            step, last = self.standing.step, self.standing.step == self.plan.total
            if step % self._config.logging_steps == 0 or last:
                recorded = self._record(recorded)
            if step % (self._config.eval_steps or self.plan.per_epoch) == 0 or last:
                self._measure()
            if step % self._config.save_steps == 0 and not last:
                self._keep(checkpoints)
        if self.standing.window_steps:
            self._record(recorded)
        if self.standing.step < self.plan.total:
            self._progress.log("INFO", f"Stopped at step {self.standing.step}: the held-out loss has stopped falling")

    def save(self, output_dir: Path) -> None:
        """Writes the adapter, or the whole model in the precision it came in, as safetensors; the best, if asked."""
        if self._best.restore(self._weights):
            self._progress.log("INFO", f"Taking the weights of step {self.standing.best_step}, the best measured")
        if self._config.method == "full":
            self._model.to(self._stored_dtype).save_pretrained(output_dir)
        else:
            self._model.save_pretrained(output_dir, save_embedding_layers=False)

    def _step(self, micro_batches: Sequence[MicroBatch]) -> None:
        """One optimizer step. Whatever the task counts weighs the same in all its micro-batches."""
        standing, config = self.standing, self._config
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(standing.step)
        self._crew.say(standing.step)
        self._losses.append(self._gradients(standing.step, micro_batches))
        self._gradient_norm = clip_grad_norm_(self._weights.values(), config.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._crew.hand_out(weight.data for weight in self._weights.values())
        standing.step += 1
        standing.window_steps += 1
        standing.tokens += sum(self._task.lengths[row] for rows in micro_batches for row in rows)

    def _gradients(self, step: int, micro_batches: Sequence[MicroBatch]) -> Tensor:
        """Those of a step, of all devices together; returns its loss."""
        torch.manual_seed(step_seed(self._config.seed, step) + self._crew.rank)
        scale = 1 / sum(self._task.share(rows) for rows in micro_batches)
        mine = self._crew.share_of(micro_batches)
        loss = torch.zeros((), device=self._machine.device)
        for rows in mine:
            loss += self._task.backward(self._objective, rows, scale)
        if self._crew.size > 1:
            for weight in self._weights.values():
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
            self._crew.add_up([loss, *(weight.grad for weight in self._weights.values() if weight.grad is not None)])
        return loss

    def follow(self) -> None:
        """Takes the leader's steps with it, until it ends this process."""
        self._model.train()
        weights = [weight.data for weight in self._weights.values()]
        self._crew.hand_out(weights)
        for micro_batches in self.plan.steps(step := self._crew.hear()):
            self._gradients(step, micro_batches)
            self._optimizer.zero_grad()
            self._crew.hand_out(weights)
            step = self._crew.hear()

    def _rate(self, step: int) -> float:
        """The scheduled learning rate of a step, of the peak that a person set where one did."""
        peak = self.standing.peak_rate
        scheduled = learning_rate(step, self.plan.total, self._config)
        return scheduled if peak is None else scheduled * peak / self._config.learning_rate

    def _heed(self, steering: Steering, checkpoints: CheckpointStore) -> None:
        """Does what people have asked for since the last step."""
        for asked in steering.adjustments():
            if asked.number > self.standing.adjustment:  # else the checkpoint that the run went on from knew of it
                self._adjust(asked)
        if steering.wants_pause():
            if self.standing.step > self._kept_step:
                self._keep(checkpoints)
            self._progress.log("INFO", f"Paused after step {self.standing.step} of {self.plan.total}")
            raise Paused

    def _adjust(self, asked: StepAdjustment) -> None:
        standing = self.standing
        change = LearningRateChange(
            step=standing.step + 1,
            previous=self._config.learning_rate if standing.peak_rate is None else standing.peak_rate,
            learning_rate=asked.learning_rate,
            by=asked.by,
            at=datetime.now(UTC),
        )
        standing.adjustment, standing.peak_rate = asked.number, asked.learning_rate
        standing.rate_changes.append(change)
        self._progress.log(
            "INFO",
            f"From step {change.step} on the peak learning rate is {change.learning_rate:g}",
            step=standing.step,
            learning_rate=self._rate(standing.step),
            adjustment=asked.number,
        )

    def _settle(self) -> None:
        """Fetches what the steps since the last call lost, which a GPU may still be computing, and the time they took.

        Raises `Refused(TRAINING_FAILED)` when that, or the last gradient, is no number: what is learnt from there on is
        worthless, and not to be kept.
        """
        standing = self.standing
        standing.window_loss += sum(loss.item() for loss in self._losses)
        self._losses.clear()
        standing.seconds += time.perf_counter() - self._clock
        self._clock = time.perf_counter()
        if not math.isfinite(standing.window_loss + self._gradient_norm.item()):
            raise Refused(
                RefusalCode.TRAINING_FAILED,
                f"By step {standing.step} the loss is no number any more: try a lower learning_rate or more warm-up",
                {"step": standing.step},
            )

    def _record(self, before: Standing) -> Standing:
        """Logs the window that ends here; returns the standing for the next call."""
        self._settle()
        standing = self.standing
        loss = standing.window_loss / standing.window_steps
        standing.first_loss = loss if standing.first_loss is None else standing.first_loss
        standing.final_loss = loss
        standing.window_loss, standing.window_steps = 0.0, 0
        self._progress.log(
            "METRIC",
            f"step {standing.step}/{self.plan.total} loss {loss:.4f}",
            **self._place(),
            loss=loss,
            learning_rate=self._rate(standing.step - 1),
            grad_norm=self._gradient_norm.item(),
            tokens_per_second=(standing.tokens - before.tokens) / max(1e-9, standing.seconds - before.seconds),
            memory_bytes=self._machine.memory_used(),
        )
        return replace(standing)

    def _measure(self) -> None:
        """Logs the loss on held-out rows, which no time is counted for."""
        self._settle()
        self._model.eval()
        loss = self._task.measure(self._objective)
        self._model.train()
        if loss is not None:
            self._last_measured = loss
            self._best.judge(loss, self.standing, self._weights)
            message = f"step {self.standing.step}/{self.plan.total} held-out loss {loss:.4f}"
            self._progress.log("METRIC", message, **self._place(), eval_loss=loss)
        self._clock = time.perf_counter()

    def _keep(self, checkpoints: CheckpointStore) -> None:
        self._settle()
        step = self.standing.step
        directory = _emptied(self._work_dir / f"checkpoint-{step}")
        write_checkpoint(directory, self._weights, self._optimizer, self.standing, self._fingerprint)
        self._best.put_into(directory)
        checkpoints.save(step, directory)
        shutil.rmtree(directory)
        self._kept_step = step
        self._clock = time.perf_counter()

    def _place(self) -> dict[str, float]:
        step = self.standing.step
        return {"step": step, "total_steps": self.plan.total, "epoch": step / self.plan.per_epoch}

    def _should_compute_twice(self, activations: int) -> bool:
        wanted = self._config.activation_checkpointing
        return activations > self._machine.activation_budget() if wanted is None else wanted

    def describe(self, quickened: Sequence[str]) -> None:
        """Logs what will be trained, how, and what that is expected to take."""
        trained = sum(weight.numel() for weight in self._weights.values())
        everything = count_weights(self._model)
        task, config, expected = self._task, self._config, self.estimate
        layout = "rows end to end" if self._objective.packs else "padded rows"
        ways = [layout, *quickened, *(["activations computed twice to fit the memory"] * self._computes_twice)]
        kind = self._machine.device.type
        devices = kind if self._crew.size == 1 else f"{self._crew.size} of {kind}"
        self._progress.log(
            "INFO",
            f"Training {trained:,} of {everything:,} weights ({config.method}) on {len(task.lengths):,} rows,"
            f" {sum(task.lengths):,} tokens, in {self.plan.total:,} steps"
            f" on {devices} in {self._machine.precision}; {', '.join(ways)}",
        )
        self._progress.log(
            "INFO" if expected.memory_bytes <= expected.available_bytes else "WARN",
            f"Expected: {expected.memory_bytes / _GIB:.1f} GiB of memory, of {expected.available_bytes / _GIB:.1f},"
            f" and {expected.seconds or 0:,.0f} s",
        )
        if task.examples.skipped:
            self._progress.log("WARN", f"{task.examples.skipped:,} rows have no answer within max_seq_length: skipped")


def _emptied(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
