"""What a run learns: to answer as its rows do, or to prefer the chosen of two answers."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from contracts.pipeline import TrainingConfig
from trainer.domain.batches import MicroBatch, plan_measurement
from trainer.engine.examples import Encoded, Examples, encoded, fit, read_pairs, read_rows
from trainer.engine.kept_tokens import kept_tokens
from trainer.engine.objective import Objective

_MEASURED_ROWS = 256
"""Held-out rows that are measured while training; the evaluation agent measures all of them."""
_MEASURED_AT_ONCE = 8
_HELD_OUT = "held-out rows"


class Task(Protocol):
    """Rows to learn from, counted from 0, and what a step minimises on them."""

    examples: Examples
    """All token ids, so that a checkpoint knows its rows again."""

    @property
    def lengths(self) -> list[int]:
        """The tokens of each row."""
        ...

    def share(self, rows: MicroBatch) -> int:
        """What the rows count for in the mean that a step minimises: tokens, or pairs."""
        ...

    def backward(self, objective: Objective, rows: MicroBatch, scale: float) -> Tensor:
        """Adds the gradients of `scale` times the rows' summed loss; returns that product."""
        ...

    def measure(self, objective: Objective) -> float | None:
        """The mean loss on held-out rows; None without any."""
        ...


def prepare_task(
    config: TrainingConfig, tokenizer: Any, rows_train: Path, rows_eval: Path | None, max_length: int
) -> Task:
    """Reads and tokenises the rows. Raises `Refused(DATASET_INVALID)` when there is nothing to learn in them."""
    if config.objective == "dpo":
        pairs = tokenise_pairs(rows_train, tokenizer, max_length)
        held_out = rows_eval and tokenise_pairs(
            rows_eval, tokenizer, max_length, most=_MEASURED_ROWS, kind=f"pairs of {_HELD_OUT}"
        )
        return Preferences(pairs, held_out or None, config.dpo_beta)
    examples = fit(_encoded(rows_train, tokenizer), max_length, whole=config.train_on_inputs)
    if rows_eval is None:
        return Answers(examples, None)
    held_out_rows = islice(_encoded(rows_eval, tokenizer), _MEASURED_ROWS)
    return Answers(examples, fit(held_out_rows, max_length, kind=_HELD_OUT))


def _encoded(path: Path, tokenizer: Any) -> Iterator[Encoded]:
    return kept_tokens(path, tokenizer, answers=1) or encoded(read_rows(path), tokenizer)


def tokenise_pairs(
    path: Path, tokenizer: Any, max_length: int, *, most: int | None = None, kind: str = "pairs"
) -> Examples:
    """Two examples a pair, the chosen answer first; a pair whose prompt leaves no room for either answer is skipped."""
    answers = kept_tokens(path, tokenizer, answers=2)
    if answers is None:
        answers = encoded((row for pair in read_pairs(path) for row in pair), tokenizer)
    return fit(islice(answers, most and 2 * most), max_length, together=2, kind=kind)


class Answers:
    """Supervised fine-tuning: every answer token of a step weighs the same, whatever micro-batch it is in."""

    def __init__(self, examples: Examples, held_out: Examples | None) -> None:
        self.examples = examples
        self._held_out = held_out
        self.lengths = examples.lengths
        self._counted = [length - int(first) for length, first in zip(self.lengths, examples.answers, strict=True)]

    def share(self, rows: MicroBatch) -> int:
        return sum(self._counted[row] for row in rows)

    def backward(self, objective: Objective, rows: MicroBatch, scale: float) -> Tensor:
        return objective.backward(objective.collate(self.examples, rows), scale)

    def measure(self, objective: Objective) -> float | None:
        if self._held_out is None:
            return None
        plan = plan_measurement(self._held_out.lengths, _MEASURED_AT_ONCE)
        parts = [objective.measure(objective.collate(self._held_out, rows)) for rows in plan]
        return sum(part.loss for part in parts) / sum(part.tokens for part in parts)


class Preferences:
    """Direct preference optimisation (Rafailov et al. 2023, equation 7); the reference is the model without adapter."""

    def __init__(self, examples: Examples, held_out: Examples | None, beta: float) -> None:
        self.examples = examples
        self._held_out = held_out
        self._beta = beta
        single = examples.lengths
        self.lengths = [single[at] + single[at + 1] for at in range(0, len(single), 2)]

    def share(self, rows: MicroBatch) -> int:
        return len(rows)

    def backward(self, objective: Objective, rows: MicroBatch, scale: float) -> Tensor:
        batch = objective.collate(self.examples, _both(rows))
        with objective.base():
            reference = _margins(objective.log_probabilities(batch))

        def judge(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
            advantage = self._beta * (_margins(log_probabilities) - reference)
            towards = scale * self._beta * torch.sigmoid(-advantage)
            weights = torch.stack([towards, -towards], 1).flatten()
            return -logsigmoid(advantage).sum() * scale, weights

        return objective.backward_judged(batch, judge)

    def measure(self, objective: Objective) -> float | None:
        if self._held_out is None:
            return None
        pairs = range(len(self._held_out) // 2)
        losses = list(self._losses(objective, self._held_out, pairs))
        return sum(losses) / len(pairs)

    def _losses(self, objective: Objective, examples: Examples, pairs: range) -> Iterator[float]:
        for start in range(0, len(pairs), _MEASURED_AT_ONCE):
            batch = objective.collate(examples, _both(tuple(pairs[start : start + _MEASURED_AT_ONCE])))
            margins = _margins(objective.log_probabilities(batch))
            with objective.base():
                reference = _margins(objective.log_probabilities(batch))
            yield float(-logsigmoid(self._beta * (margins - reference)).sum())


def _both(pairs: MicroBatch) -> MicroBatch:
    return tuple(row for pair in pairs for row in (2 * pair, 2 * pair + 1))


def _margins(log_probabilities: Tensor) -> Tensor:
    """How much more probable each chosen answer is than its rejected one, in nats."""
    return log_probabilities[0::2] - log_probabilities[1::2]
