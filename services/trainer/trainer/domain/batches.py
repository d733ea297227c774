"""Which rows are learnt together, as a pure function of the seed and the epoch."""

from collections.abc import Iterator, Sequence
from random import Random

from contracts.pipeline import TrainingConfig
from trainer.domain.schedule import steps_per_epoch, total_steps

MicroBatch = tuple[int, ...]
"""Numbers of the rows that go through the model together."""

_POOL = 50
"""Batches' worth of rows that are sorted by length together: enough to waste little on padding, few enough to keep
short and long rows mixed over the epoch."""


def plan_epoch(lengths: Sequence[int], config: TrainingConfig, epoch: int) -> list[list[MicroBatch]]:
    """Every row once in random order, the rows of a micro-batch of about one length: each step's micro-batches."""
    random = Random(f"{config.seed}/epoch/{epoch}")  # noqa: S311 - reproducible on purpose
    rows = list(range(len(lengths)))
    random.shuffle(rows)
    batches = [
        batch
        for pool in _cut(rows, config.batch_size * _POOL)
        for batch in _cut(sorted(pool, key=lengths.__getitem__), config.batch_size)
    ]
    random.shuffle(batches)
    size = config.gradient_accumulation_steps
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def plan_run(lengths: Sequence[int], config: TrainingConfig, start: int) -> Iterator[list[MicroBatch]]:
    """The micro-batches of every step of the run from step `start` to its end."""
    per_epoch, total = steps_per_epoch(len(lengths), config), total_steps(len(lengths), config)
    while start < total:
        epoch, done = divmod(start, per_epoch)
        steps = plan_epoch(lengths, config, epoch)[done : done + total - start]
        yield from steps
        start += len(steps)


def plan_measurement(lengths: Sequence[int], batch_size: int) -> list[MicroBatch]:
    """Every row once, the longest first: a measurement that is too big for the memory fails at its start."""
    return _cut(sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True), batch_size)


def _cut(rows: Sequence[int], size: int) -> list[MicroBatch]:
    return [tuple(rows[start : start + size]) for start in range(0, len(rows), size)]
