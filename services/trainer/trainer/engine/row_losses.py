"""The loss of each row by itself, of which means, intervals and paired differences are made."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from trainer.domain.batches import MicroBatch
from trainer.domain.measures import RowResult
from trainer.engine.examples import Examples
from trainer.engine.objective import Objective


def row_losses(objective: Objective, examples: Examples, rows: MicroBatch) -> list[RowResult]:
    """In the order of `rows`. No logits are kept, so memory grows with the batch and never with the set."""
    batch = objective.collate(examples, rows)
    losses, right = [], []

    def judge(logits: Any, targets: Any) -> None:
        losses.append(cross_entropy(logits.float(), targets, reduction="none").double().cpu())
        right.append((logits.argmax(-1) == targets).cpu())

    objective.visit(batch, judge)
    by_row = zip(torch.cat(losses).split(batch.counted), torch.cat(right).split(batch.counted), strict=True)
    return [RowResult(loss.sum().item(), len(loss), int(hits.sum().item())) for loss, hits in by_row]
