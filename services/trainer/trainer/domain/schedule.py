"""How far a training run goes, and how fast and how randomly it learns at each step.

A step is one optimizer step, counted from 0. All of it is a function of the step's number, so a run that goes on from a
checkpoint needs that number alone to do what the uninterrupted run would have done.
"""

import math
from random import Random

from contracts.pipeline import TrainingConfig


def steps_per_epoch(rows: int, config: TrainingConfig) -> int:
    """Optimizer steps that see every row once; the last one may be smaller than the others."""
    return math.ceil(math.ceil(rows / config.batch_size) / config.gradient_accumulation_steps)


def total_steps(rows: int, config: TrainingConfig) -> int:
    """Steps of the whole run: `max_steps` where given, else as many as `epochs` take."""
    return config.max_steps or max(1, math.ceil(config.epochs * steps_per_epoch(rows, config)))


def learning_rate(step: int, total: int, config: TrainingConfig) -> float:
    """The learning rate of `step`: a linear warm-up over `warmup_ratio` of all steps, then `lr_scheduler_type`.

    No step is wasted on a rate of zero: the first has the first share of the warm-up, the last what is left before 0.
    """
    warmup = math.ceil(config.warmup_ratio * total)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (total - warmup)
    match config.lr_scheduler_type:
        case "constant":
            return config.learning_rate
        case "linear":
            return config.learning_rate * (1.0 - progress)
        case "cosine":
            return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def step_seed(seed: int, step: int) -> int:
    """What the random numbers of a step (dropout) start from."""
    return Random(f"{seed}/step/{step}").getrandbits(63)  # noqa: S311 - reproducible on purpose
