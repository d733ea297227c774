"""What the work of a step may call back on while it runs, whoever hosts it.

A training row is `{"prompt", "completion"}`. The prompt is rendered whole by the chat template that the model is
served with, its beginning-of-text token included where the tokenizer has one, so both are tokenised with
`add_special_tokens=False`. The completion is the answer alone: training appends the tokenizer's end-of-text token.
A row of preferences is `{"prompt", "chosen", "rejected"}`: two such answers, the better one first.
"""

from pathlib import Path
from typing import Protocol

from contracts.orchestrator import LogLevel, StepAdjustment


class Progress(Protocol):
    """Tells the run's log how the work goes. Never blocks, whatever happens to the log."""

    def log(self, level: LogLevel, message: str, **numbers: float) -> None:
        """`numbers` are those of `LogRecord`: step, total_steps, epoch, loss, eval_loss, learning_rate, grad_norm,
        tokens_per_second, memory_bytes; and `adjustment`, the number of one that has taken effect."""
        ...


class Steering(Protocol):
    """What people want of a step while it is worked on. Neither waits: to be asked between two training steps."""

    def wants_pause(self) -> bool:
        """Whether to keep a checkpoint now and raise `Paused`."""
        ...

    def adjustments(self) -> list[StepAdjustment]:
        """Those that have come since the last call, oldest first; at the first call also those from before the
        attempt."""
        ...


class Paused(Exception):
    """The agent has stopped where another attempt can go on."""


class CheckpointStore(Protocol):
    """Where a training run keeps its checkpoints, so that another attempt, on another machine, goes on from there."""

    def save(self, step: int, directory: Path) -> None:
        """Keeps the files under `directory` as the state after optimizer step `step`. Older ones may be dropped."""
        ...

    def latest(self, into: Path) -> int | None:
        """Fetches the newest whole checkpoint into the directory `into`; its step, or None when there is none."""
        ...
