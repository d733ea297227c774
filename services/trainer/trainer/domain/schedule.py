"""How far a training run goes, and how fast and how randomly it learns at each step.

A step is one optimizer step, counted from 0. All of it is a function of the step's number, so a run that goes on from a
checkpoint needs that number alone to do what the uninterrupted run would have done.
"""

import math
from random import Random

from contracts.pipeline import TrainingConfig


def steps_per_epoch(micro_batches: int, config: TrainingConfig) -> int:
    """Optimizer steps that see every micro-batch once; the last one may be smaller than the others."""
    return math.ceil(micro_batches / config.gradient_accumulation_steps)


def total_steps(per_epoch: int, config: TrainingConfig) -> int:
    """Steps of the whole run: `max_steps` where given, else as many as `epochs` take."""
    return config.max_steps or max(1, math.ceil(config.epochs * per_epoch))


def learning_rate(step: int, total: int, config: TrainingConfig) -> float:
    """The learning rate of `step`: a linear warm-up, then `lr_scheduler_type` from the peak to `min_lr_ratio` of it.

    No step is wasted on a rate of zero: the first has the first share of the warm-up, the last what is left before the
    end.
    """
    warmup = math.ceil(config.warmup_ratio * total) if config.warmup_steps is None else min(config.warmup_steps, total)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    floor, progress = config.min_lr_ratio, (step - warmup) / (total - warmup)
    match config.lr_scheduler_type:
        case "constant":
            share = 1.0
        case "linear":
            share = floor + (1.0 - floor) * (1.0 - progress)
        case "cosine":
            share = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
        case "inverse_sqrt":  # Raffel et al. 2020, section 3.1.2
            share = max(floor, math.sqrt(max(1, warmup) / (step + 1)))
    return config.learning_rate * share


def step_seed(seed: int, step: int) -> int:
    """What the random numbers of a step (dropout) start from."""
    return Random(f"{seed}/step/{step}").getrandbits(63)  # noqa: S311 - reproducible on purpose
