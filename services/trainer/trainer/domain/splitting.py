"""The split into training and evaluation rows, in which no question is on both sides."""

import random
from collections.abc import Sequence

from contracts.base import RefusalCode, Refused


def held_out(groups: Sequence[str], ratio: float, seed: int) -> list[bool]:
    """For each row, whether it is held out for evaluation; rows of one group stay together.

    About `ratio` of the rows are held out, at least one, and at least one group is left to train on. The same groups,
    ratio and seed give the same split. Raises `Refused(DATASET_INVALID)` when there are fewer than two groups.
    """
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    if len(sizes) < 2:
        raise Refused(
            RefusalCode.DATASET_INVALID,
            "There must be at least two different prompts: one to train on, one to evaluate with",
            {"rows": len(groups), "prompts": len(sizes)},
        )
    order = list(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a split needs repeatability, not secrecy
    wanted = max(1, round(len(groups) * ratio))
    chosen: set[str] = set()
    for group in order:
        if sizes[group] <= wanted:
            chosen.add(group)
            wanted -= sizes[group]
    if not chosen:
        chosen.add(min(order, key=sizes.__getitem__))
    elif len(chosen) == len(order):
        chosen.remove(max(order, key=sizes.__getitem__))
    return [group in chosen for group in groups]
