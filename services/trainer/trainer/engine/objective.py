"""What training minimises and evaluation reports: the loss on the answers' tokens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.domain.batches import MicroBatch
from trainer.engine.attention import Rows, rows_apart
from trainer.engine.examples import Examples
from trainer.engine.fused import TokenLoss
from trainer.engine.machine import Machine

_LOGITS = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Logits that are held at once: a small part of the memory, and enough for a matrix product to be quick."""
_NOISE = 0.05
"""Of the largest state: more than bfloat16 rounds off, and less than another row's presence changes."""


@dataclass(frozen=True)
class Batch:
    """Rows that go through the model together: end to end in one sequence, or padded at their end to one width.

    `positions` are those of the flattened `tokens` whose next token counts, `targets` these tokens.
    """

    tokens: Tensor
    positions: Tensor
    targets: Tensor
    size: int
    """Tokens that are no padding."""
    counted: tuple[int, ...]
    """How many targets each row has, in order."""
    rows: Rows | None = None
    """Of a batch whose rows lie end to end."""

    def placing(self) -> dict[str, Any]:
        """What tells the model where each row of a sequence begins; nothing for padded rows."""
        return {} if self.rows is None else {"position_ids": self.rows.places, "rows": self.rows}


@dataclass(frozen=True)
class Measured:
    """Sums over the tokens that count: the loss in nats, how many were predicted right, and how many there are."""

    loss: float
    correct: int
    tokens: int


def collate(examples: Examples, rows: MicroBatch, device: torch.device, *, packed: bool = False) -> Batch:
    """Puts the rows into one batch: `packed` end to end, else padded.

    Padding comes last and attention is causal, so no real token ever sees it: the batch needs no attention mask, and
    padding needs no token of its own.
    """
    ids = [examples.row(row) for row in rows]
    lengths = tuple(len(row) for row in ids)
    width = max(lengths)
    starts = np.cumsum([0, *lengths[:-1]]) if packed else np.arange(len(ids)) * width
    tokens = np.zeros(sum(lengths) if packed else len(ids) * width, dtype=np.int64)
    counts = np.zeros(len(tokens), dtype=bool)
    for start, row, number in zip(starts, ids, rows, strict=True):
        tokens[start : start + len(row)] = row
        counts[start + examples.answers[number] - 1 : start + len(row) - 1] = True
    positions = np.flatnonzero(counts)
    return Batch(
        tokens=torch.from_numpy(tokens.reshape(1 if packed else len(ids), -1)).to(device),
        positions=torch.from_numpy(positions).to(device),
        targets=torch.from_numpy(tokens[positions + 1]).to(device),
        size=sum(lengths),
        counted=tuple(len(row) - int(examples.answers[number]) for row, number in zip(ids, rows, strict=True)),
        rows=Rows.of(lengths, device) if packed else None,
    )


Judge = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From the rows' log-probabilities to a loss, and to how much it falls a nat by which a row becomes more probable."""


class Objective:
    """Cross-entropy of a causal language model on the positions that count.

    The head runs on these positions only, some rows of logits at a time, each forgotten once its gradient is known:
    with a vocabulary of 128k a batch's logits would otherwise outgrow all other activations.
    """

    def __init__(self, model: Any, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self._causal = model.get_base_model() if hasattr(model, "peft_config") else model
        self._body, self._head = self._causal.base_model, self._causal.get_output_embeddings()
        self._split = self._head_is_all()
        self.packs = self._rows_stay_apart()

    def collate(self, examples: Examples, rows: MicroBatch) -> Batch:
        """The rows end to end where this model keeps them apart, else padded."""
        return collate(examples, rows, self._machine.device, packed=self.packs)

    def backward(self, batch: Batch, scale: float) -> Tensor:
        """Adds the gradients of `scale` times the summed loss; returns that product."""
        with self._attention(batch):
            states = self._states(batch)
            leaf = states.detach().requires_grad_()
            total = torch.zeros((), device=self._machine.device)
            for some, targets in self._chunks(leaf, batch):
                loss = TokenLoss.apply(self._logits(some), targets, None) * scale
                loss.backward()
                total += loss.detach()
            _go_on(states, leaf)
        return total

    def backward_judged(self, batch: Batch, judge: Judge) -> Tensor:
        """Adds the gradients of a loss that depends on how probable the rows' answers are; returns that loss.

        The head runs twice, so that no logits need to be kept until the loss is known.
        """
        with self._attention(batch):
            states = self._states(batch)
            leaf = states.detach().requires_grad_()
            with torch.no_grad():
                loss, weights = judge(self._by_row(leaf, batch))
            counted = torch.tensor(batch.counted, device=weights.device)
            by_token = weights.repeat_interleave(counted).split(self._at_once())
            for (some, targets), of_these in zip(self._chunks(leaf, batch), by_token, strict=True):
                TokenLoss.apply(self._logits(some), targets, of_these).backward()
            _go_on(states, leaf)
        return loss

    def log_probabilities(self, batch: Batch) -> Tensor:
        """`[rows]`: the logarithm of how probable each row's counted tokens are together. Nothing is learnt."""
        with torch.no_grad(), self._attention(batch):
            return self._by_row(self._states(batch), batch)

    @contextmanager
    def base(self) -> Iterator[None]:
        """For the block the model is what it was before it learnt: its adapter is switched off, and dropout too."""
        was_training = self._model.training
        self._model.eval()
        try:
            with self._model.disable_adapter():
                yield
        finally:
            self._model.train(was_training)

    def measure(self, batch: Batch) -> Measured:
        """The loss and the accuracy on a batch; the model should be in evaluation mode."""
        loss, correct = 0.0, 0
        with torch.no_grad(), self._attention(batch):
            for some, targets in self._chunks(self._states(batch), batch):
                logits = self._logits(some)
                loss += TokenLoss.apply(logits, targets, None).item()
                correct += int((logits.argmax(-1) == targets).sum().item())
        return Measured(loss, correct, len(batch.targets))

    def visit(self, batch: Batch, look: Callable[[Tensor, Tensor], None]) -> None:
        """Hands `look` the logits and targets of the tokens that count, some at a time, in order. Nothing is learnt."""
        with torch.no_grad(), self._attention(batch):
            for some, targets in self._chunks(self._states(batch), batch):
                look(self._logits(some), targets)

    def _states(self, batch: Batch) -> Tensor:
        """`[positions, width]`: what the head turns into logits, or the logits themselves."""
        with self._machine.autocast():
            if self._split:
                states = self._body(input_ids=batch.tokens, use_cache=False, **batch.placing()).last_hidden_state
            else:
                states = self._causal(input_ids=batch.tokens, use_cache=False, **batch.placing()).logits
        flat: Tensor = states.flatten(0, 1)[batch.positions]
        return flat

    def _logits(self, states: Tensor) -> Tensor:
        if not self._split:
            return states
        with self._machine.autocast():
            logits: Tensor = self._head(states)
        return logits

    def _by_row(self, states: Tensor, batch: Batch) -> Tensor:
        losses = [
            cross_entropy(self._logits(some).float(), targets, reduction="none")
            for some, targets in self._chunks(states, batch)
        ]
        return torch.stack([-part.sum() for part in torch.cat(losses).split(batch.counted)])

    def _chunks(self, states: Tensor, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(states.split(self._at_once()), batch.targets.split(self._at_once()), strict=True)

    def _at_once(self) -> int:
        """Positions whose logits are held at once."""
        vocabulary: int = self._head.weight.shape[0]
        return max(1, _LOGITS[self._machine.device.type] // vocabulary)

    def _attention(self, batch: Batch) -> AbstractContextManager[None]:
        return nullcontext() if batch.rows is None else rows_apart(self._causal)

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

    def _rows_stay_apart(self) -> bool:
        """Whether rows end to end have the states that each has alone, which is tried: it depends on the architecture.

        Those with a recurrence, attention sinks or capped scores are fed padded rows.
        """
        rows = (np.arange(9, dtype=np.int64), np.arange(5, 11, dtype=np.int64))
        together = Batch(
            tokens=torch.from_numpy(np.concatenate(rows))[None].to(self._machine.device),
            positions=torch.arange(sum(map(len, rows)), device=self._machine.device),
            targets=torch.empty(0),
            size=15,
            counted=(),
            rows=Rows.of((9, 6), self._machine.device),
        )
        was_training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad(), rows_apart(self._causal):
                packed = self._states(together).float()
                alone = [self._alone(row) for row in rows]
        except (ValueError, TypeError):  # what an architecture takes no such rows with
            return False
        finally:
            self._model.train(was_training)
        return bool((packed - torch.cat(alone)).abs().max() <= _NOISE * packed.abs().max())

    def _alone(self, row: "np.ndarray[Any, np.dtype[np.int64]]") -> Tensor:
        tokens = torch.from_numpy(row)[None].to(self._machine.device)
        positions = torch.arange(len(row), device=self._machine.device)
        return self._states(Batch(tokens, positions, torch.empty(0), len(row), ())).float()


def _go_on(states: Tensor, leaf: Tensor) -> None:
    """Carries the gradients of the head's input on into the model, unless the head alone is trained."""
    if states.requires_grad:
        states.backward(leaf.grad)
