"""`python -m trainer.tiny_model --text FILE --out DIR`: a small base model made from text, with no download."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.utils import logging as transformers_logging

from contracts.base import Refused
from contracts.orchestrator import LogLevel
from trainer.engine.tiny_model import Shape, make_tiny_model


class _Terminal:
    """Progress for a person who waits: a bar with the loss as it falls, and words above it."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._bar = bars.add_task("pre-training", total=None, loss="", visible=False)

    def log(self, level: LogLevel, message: str, **numbers: float) -> None:
        if level == "METRIC":
            loss = f"loss [bold]{numbers['loss']:.3f}[/]"
            total, done = numbers["total_steps"], numbers["step"]
            self._bars.update(self._bar, total=total, completed=done, loss=loss, visible=True)
        else:
            self._bars.print(f"   {message}", highlight=False)


def main() -> int:
    """Returns the exit status; an `--out` that is there already is left as it is."""
    options = _options()
    if options.out.exists():
        sys.stdout.write(f"{options.out} is there already\n")
        return 0
    transformers_logging.disable_progress_bar()
    documents = (text for file in options.text for text in _documents(file))
    shape = Shape(steps=options.steps)
    try:
        with _bars() as bars:
            make_tiny_model(documents, options.out, progress=_Terminal(bars), seed=options.seed, shape=shape)
    except Refused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return 1
    return 0


def _bars() -> Progress:
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    return Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True), console=Console())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.tiny_model", description=__doc__)
    parser.add_argument("--text", type=Path, required=True, nargs="+", help="UTF-8 text; a blank line ends a document")
    parser.add_argument("--out", type=Path, required=True, help="directory of the model; its name is the model's")
    parser.add_argument("--steps", type=int, default=Shape.steps, help=f"of pre-training (default: {Shape.steps})")
    parser.add_argument("--seed", type=int, default=42, help="equal text and seed make an equal model (default: 42)")
    return parser.parse_args()


def _documents(file: Path) -> Iterator[str]:
    yield from file.read_text(encoding="utf-8").split("\n\n")


if __name__ == "__main__":
    sys.exit(main())
