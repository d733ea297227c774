"""What training minimises and evaluation reports: the loss on the answers' tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.domain.batches import MicroBatch
from trainer.engine.examples import Examples
from trainer.engine.machine import Machine

_LOGITS = {"cpu": 1 << 21, "cuda": 1 << 26}
"""Logits that are held at once: what fits into a CPU's cache, and a small part of a GPU's memory."""


@dataclass(frozen=True)
class Batch:
    """Rows padded at their end to one width.

    `positions` are those of the flattened `[rows * width]` whose next token counts, `targets` these tokens.
    """

    tokens: Tensor
    positions: Tensor
    targets: Tensor
    size: int
    """Tokens that are no padding."""


@dataclass(frozen=True)
class Measured:
    """Sums over the tokens that count: the loss in nats, how many were predicted right, and how many there are."""

    loss: float
    correct: int
    tokens: int


def collate(examples: Examples, rows: MicroBatch, device: torch.device) -> Batch:
    """Pads the rows into one batch.

    Padding comes last and attention is causal, so no real token ever sees it: the batch needs no attention mask, and
    padding needs no token of its own.
    """
    ids = [examples.row(row) for row in rows]
    width = max(len(row) for row in ids)
    tokens = np.zeros((len(ids), width), dtype=np.int64)
    counts = np.zeros((len(ids), width), dtype=bool)
    for index, (row, number) in enumerate(zip(ids, rows, strict=True)):
        tokens[index, : len(row)] = row
        counts[index, examples.answers[number] - 1 : len(row) - 1] = True
    positions = np.flatnonzero(counts)
    targets = tokens.reshape(-1)[positions + 1]
    return Batch(
        tokens=torch.from_numpy(tokens).to(device),
        positions=torch.from_numpy(positions).to(device),
        targets=torch.from_numpy(targets).to(device),
        size=sum(len(row) for row in ids),
    )


class Objective:
    """Cross-entropy of a causal language model on the positions that count.

    The head runs on these positions only, some rows of logits at a time, each forgotten once its gradient is known:
    with a vocabulary of 128k a batch's logits would otherwise outgrow all other activations.
    """

    def __init__(self, model: Any, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        causal = model.get_base_model() if hasattr(model, "peft_config") else model
        self._body, self._head = causal.base_model, causal.get_output_embeddings()
        self._split = self._head_is_all()

    def backward(self, batch: Batch, scale: float) -> Tensor:
        """Adds the gradients of `scale` times the summed loss; returns that product."""
        states = self._states(batch)
        leaf = states.detach().requires_grad_()
        total = torch.zeros((), device=self._machine.device)
        for some, targets in self._chunks(leaf, batch):
            loss = cross_entropy(self._logits(some), targets, reduction="sum") * scale
            loss.backward()
            total += loss.detach()
        if states.requires_grad:  # not when the head alone is trained
            states.backward(leaf.grad)
        return total

    def measure(self, batch: Batch) -> Measured:
        """The loss and the accuracy on a batch; the model should be in evaluation mode."""
        loss, correct = 0.0, 0
        with torch.no_grad():
            for some, targets in self._chunks(self._states(batch), batch):
                logits = self._logits(some)
                loss += cross_entropy(logits, targets, reduction="sum").item()
                correct += int((logits.argmax(-1) == targets).sum().item())
        return Measured(loss, correct, len(batch.targets))

    def _states(self, batch: Batch) -> Tensor:
        """`[positions, width]`: what the head turns into logits, or the logits themselves."""
        with self._machine.autocast():
            if self._split:
                states = self._body(input_ids=batch.tokens, use_cache=False).last_hidden_state
            else:
                states = self._model(input_ids=batch.tokens, use_cache=False).logits
        flat: Tensor = states.flatten(0, 1)[batch.positions]
        return flat

    def _logits(self, states: Tensor) -> Tensor:
        if not self._split:
            return states.float()
        with self._machine.autocast():
            logits: Tensor = self._head(states)
        return logits.float()

    def _chunks(self, states: Tensor, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        rows = max(1, _LOGITS[self._machine.device.type] // self._head.weight.shape[0])
        return zip(states.split(rows), batch.targets.split(rows), strict=True)

    def _head_is_all(self) -> bool:
        """Whether the logits are the head of the body's states. Some architectures scale or cap them afterwards."""
        probe = torch.arange(8, device=self._machine.device).unsqueeze(0)
        was_training = self._model.training
        self._model.eval()
        with torch.no_grad(), self._machine.autocast():
            logits = self._model(input_ids=probe, use_cache=False).logits
            split = self._head(self._body(input_ids=probe, use_cache=False).last_hidden_state)
        self._model.train(was_training)
        return bool(torch.allclose(logits, split, rtol=1e-2, atol=1e-3))
