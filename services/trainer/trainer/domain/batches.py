"""Which rows are learnt together, as a pure function of the seed and the epoch."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

from contracts.pipeline import TrainingConfig
from trainer.domain.schedule import steps_per_epoch, total_steps

MicroBatch = tuple[int, ...]
"""Numbers of the rows that go through the model together."""

_POOL = 50
"""Batches' worth of rows that are sorted by length together: enough to waste little on padding, few enough to keep
short and long rows mixed over the epoch."""


class RunPlan:
    """The micro-batches of a run's every step.

    `lengths` are the rows' tokens. With `padded` batches the rows of each are of about one length. Where the
    configuration packs, `room` is how many tokens a packed sequence holds at most.
    """

    def __init__(self, lengths: Sequence[int], config: TrainingConfig, *, padded: bool, room: int) -> None:
        self._config = config
        self._padded = padded
        self._units = pack(lengths, room) if config.packing else [(row,) for row in range(len(lengths))]
        self._sizes = [sum(lengths[row] for row in unit) for unit in self._units]
        self._longest = sorted(self._sizes, reverse=True)[: config.batch_size]
        self.tokens = sum(lengths)
        """Of an epoch, without padding."""
        self.micro_batches = -(-len(self._units) // config.batch_size)
        """Of an epoch."""
        self.per_epoch = steps_per_epoch(self.micro_batches, config)
        self.total = total_steps(self.per_epoch, config)

    @property
    def widest(self) -> int:
        """The most tokens that a micro-batch can have, padding included."""
        return self._longest[0] * len(self._longest) if self._padded else sum(self._longest)

    def epoch(self, number: int) -> list[list[MicroBatch]]:
        """Every row once in random order: each step's micro-batches."""
        random = Random(f"{self._config.seed}/epoch/{number}")  # noqa: S311 - reproducible on purpose
        units = list(range(len(self._units)))
        random.shuffle(units)
        size = self._config.batch_size
        pools = _cut(units, size * _POOL) if self._padded else [tuple(units)]
        ordered = (sorted(pool, key=self._sizes.__getitem__) if self._padded else pool for pool in pools)
        batches = [batch for pool in ordered for batch in _cut(pool, size)]
        random.shuffle(batches)
        rows = [tuple(chain.from_iterable(self._units[unit] for unit in batch)) for batch in batches]
        together = self._config.gradient_accumulation_steps
        return [rows[start : start + together] for start in range(0, len(rows), together)]

    def steps(self, start: int) -> Iterator[list[MicroBatch]]:
        """The micro-batches of every step of the run from step `start` to its end."""
        while start < self.total:
            epoch, done = divmod(start, self.per_epoch)
            steps = self.epoch(epoch)[done : done + self.total - start]
            yield from steps
            start += len(steps)


def pack(lengths: Sequence[int], room: int) -> list[MicroBatch]:
    """Fills sequences of up to `room` tokens with whole rows, the longest first, each where least room is left over.

    Best fit decreasing, as in Ding et al. 2024, "Fewer Truncations Improve Language Modeling". A row longer than that
    gets a sequence of its own.
    """
    sequences: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        place = bisect_left(rooms, lengths[row])
        if place == len(rooms):
            index, left = len(sequences), room
            sequences.append([])
        else:
            left = rooms[place]
            index = by_room[left].pop()
            if not by_room[left]:
                del by_room[left], rooms[place]
        sequences[index].append(row)
        if (still := left - lengths[row]) > 0:
            if still not in by_room:
                insort(rooms, still)
            by_room.setdefault(still, []).append(index)
    return [tuple(sequence) for sequence in sequences]


def plan_measurement(lengths: Sequence[int], batch_size: int) -> list[MicroBatch]:
    """Every row once, the longest first: a measurement that is too big for the memory fails at its start."""
    return _cut(sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True), batch_size)


def _cut(rows: Sequence[int], size: int) -> list[MicroBatch]:
    return [tuple(rows[start : start + size]) for start in range(0, len(rows), size)]
