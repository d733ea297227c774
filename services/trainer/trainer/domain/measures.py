"""What models are measured by, from the results of single rows, and how sure that is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from contracts.pipeline import Confusion, Interval, Metric
from trainer.domain import scores

Numbers = npt.NDArray[np.float64]
Draws = npt.NDArray[np.int64]
"""`[draws, rows]`: numbers of rows."""

_AT_ONCE = 1 << 20
"""Rows that are drawn together."""
_LOWER_IS_BETTER: frozenset[Metric] = frozenset(("loss", "perplexity"))
_OF_LOSSES: tuple[Metric, ...] = ("loss", "perplexity", "token_accuracy")
_OF_TEXTS: tuple[Metric, ...] = ("exact_match", "token_f1", "rouge_l")
_OF_LABELS: tuple[Metric, ...] = ("accuracy", "f1")


@dataclass(frozen=True)
class RowResult:
    """What a model did on one held-out row: the summed loss of the answer's tokens in nats, how many there are and how
    many of them it predicts; and its own answer, if it was asked."""

    loss: float
    tokens: int
    correct: int
    answer: str | None = None


@dataclass(frozen=True)
class Measures:
    """A model on all rows. `references` are their completions, `labels` those of a classification."""

    results: Sequence[RowResult]
    references: Sequence[str]
    labels: Sequence[str] | None

    def metrics(self) -> dict[Metric, float]:
        """All that the task has; the whole set is one draw of itself."""
        return {metric: float(self.draws(metric, [_once(self.count(metric))])[0]) for metric in self.known()}

    def known(self) -> list[Metric]:
        asked = any(result.answer is not None for result in self.results)
        of_answers = _OF_TEXTS + (_OF_LABELS if self.labels is not None else ())
        return [*_OF_LOSSES, *(of_answers if asked else ())]

    def compares_with(self, other: "Measures", metric: Metric) -> bool:
        """Losses are means over tokens: where tokenizers part the answers otherwise, they say nothing of each other."""
        alike = [one.tokens for one in self.results] == [one.tokens for one in other.results]
        return alike or metric not in _OF_LOSSES

    def count(self, metric: Metric) -> int:
        """How many rows the metric is taken from."""
        return len(self.results) if metric in _OF_LOSSES else len(self._answered())

    def confusion(self) -> Confusion | None:
        if self.labels is None or not self._answered():
            return None
        truths, answers = self._labelled()
        return scores.confusion(self.labels, truths.tolist(), answers.tolist())

    def by_row(self, metric: Metric) -> list[float]:
        """Of the rows that were answered, each one's score."""
        if metric == "accuracy":
            truths, answers = self._labelled()
            right: list[float] = (truths == answers).astype(float).tolist()
            return right
        scorer = {"exact_match": scores.exact_match, "token_f1": scores.token_f1, "rouge_l": scores.rouge_l}[metric]
        return [scorer(answer, reference) for answer, reference in self._answered()]

    def draws(self, metric: Metric, rows: Iterable[Draws]) -> Numbers:
        """The metric on each draw of rows. Of what is costly to score, each row is scored once."""
        on = self._scorer(metric)
        return np.concatenate([on(some) for some in rows])

    def _scorer(self, metric: Metric) -> Callable[[Draws], Numbers]:
        if metric in _OF_LOSSES:
            return partial(self._of_losses, metric)
        if metric == "f1":
            truths, answers = self._labelled()
            labels = len(self.labels or ())
            return lambda rows: np.array([_macro_f1(truths[draw], answers[draw], labels) for draw in rows])
        of_rows = np.array(self.by_row(metric), dtype=np.float64)
        return lambda rows: np.asarray(of_rows[rows].mean(axis=1))

    def _of_losses(self, metric: Metric, rows: Draws) -> Numbers:
        tokens = np.array([result.tokens for result in self.results], dtype=np.float64)[rows].sum(axis=1)
        if metric == "token_accuracy":
            correct = np.array([result.correct for result in self.results], dtype=np.float64)
            shares: Numbers = correct[rows].sum(axis=1) / tokens
            return shares
        losses: Numbers = np.array([result.loss for result in self.results])[rows].sum(axis=1) / tokens
        return np.exp(np.minimum(losses, 700.0)) if metric == "perplexity" else losses  # a float overflows beyond

    def _answered(self) -> list[tuple[str, str]]:
        return [
            (result.answer, reference)
            for result, reference in zip(self.results, self.references, strict=True)
            if result.answer is not None
        ]

    def _labelled(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        labels = self.labels or ()
        pairs = [(scores.label_of(wanted, labels), scores.label_of(said, labels)) for said, wanted in self._answered()]
        # A row whose completion is no label was refused before: see `labels_of`.
        truths, answers = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return truths, answers


def is_better(metric: Metric, first: float, second: float) -> bool:
    return first < second if metric in _LOWER_IS_BETTER else first > second


@dataclass(frozen=True)
class Bootstrap:
    """Draws the rows again, with replacement, to see how far a number hangs on which rows there happen to be.

    Every model is measured on the same draws, so a difference of two has the noise of their rows taken out.
    """

    resamples: int
    confidence: float
    seed: int

    def rows(self, count: int) -> Iterator[Draws]:
        """All draws of so many rows, the same each time, a few at once: all of them may be more than memory holds."""
        random = np.random.default_rng(self.seed)
        at_once = max(1, _AT_ONCE // count)
        for start in range(0, self.resamples, at_once):
            yield random.integers(0, count, (min(at_once, self.resamples - start), count))

    def interval(self, value: float, draws: Numbers) -> Interval:
        """Between the percentiles that leave out as much on both sides."""
        outside = 50 * (1 - self.confidence)
        low, high = np.percentile(draws, [outside, 100 - outside])
        return Interval(value=value, low=float(low), high=float(high))


def _once(count: int) -> Draws:
    return np.arange(count, dtype=np.int64)[None]


def _macro_f1(truths: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], labels: int) -> float:
    counts = np.bincount(truths * (labels + 1) + answers, minlength=labels * (labels + 1))
    return scores.macro_f1(counts.reshape(labels, labels + 1).tolist())
