"""What the tests of the trainer's model side share: a very small base model, made once, and rows that it can learn."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from contracts.orchestrator import LogLevel
from trainer.engine.machine import prepare_cpu
from trainer.engine.tiny_model import Shape, make_tiny_model

COLOURS = ("red", "green", "blue", "white", "black", "grey")
THINGS = ("apple", "house", "river", "stone", "bird", "cloud", "door", "lamp", "road", "shirt")

WriteRows = Callable[[list[dict[str, str]]], Path]


@dataclass
class Recorded:
    """A `Progress` that remembers."""

    lines: list[tuple[LogLevel, str, dict[str, float]]] = field(default_factory=list)

    def log(self, level: LogLevel, message: str, **numbers: float) -> None:
        self.lines.append((level, message, numbers))

    def curve(self, name: str = "loss") -> dict[int, float]:
        """The values of a metric by step."""
        return {int(n["step"]): n[name] for _, _, n in self.lines if name in n and "step" in n}

    def messages(self, level: LogLevel) -> list[str]:
        return [message for line_level, message, _ in self.lines if line_level == level]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small gain nothing from a second core, and on a busy machine they would wait for it."""
    prepare_cpu()
    torch.set_num_threads(1)


@pytest.fixture
def progress() -> Recorded:
    return Recorded()


@pytest.fixture(scope="session")
def small_shape() -> Shape:
    """Some 30,000 weights."""
    return Shape(
        vocabulary=384,
        width=32,
        layers=2,
        inner=64,
        context=256,
        block=32,
        batch_size=8,
        steps=30,
        peak_learning_rate=8e-3,
    )


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Prose to pre-train on."""
    return [
        f"The {thing} that you see {place} is {colour}, and so is the other {thing}."
        for colour in COLOURS
        for thing in THINGS
        for place in ("here", "there", "on the hill", "near the sea")
    ]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory, texts: list[str], small_shape: Shape) -> Path:
    """A directory with a base model, its tokenizer and its chat template."""
    out = tmp_path_factory.mktemp("models") / "small"
    make_tiny_model(texts, out, progress=Recorded(), shape=small_shape)
    return out


@pytest.fixture(scope="session")
def questions() -> list[dict[str, str]]:
    """Sixty rows of a form that the base model has never seen, of different lengths."""
    pairs = [(colour, thing) for colour in COLOURS for thing in THINGS]
    return [
        {
            "prompt": f"### Instruction:\nWhich colour has the {'very ' * (index % 4)}nice {thing}?\n\n### Response:\n",
            "completion": f"The {thing} is {colour}" + " indeed" * (index % 3) + ".",
        }
        for index, (colour, thing) in enumerate(pairs)
    ]


@pytest.fixture(scope="session")
def write_rows(tmp_path_factory: pytest.TempPathFactory) -> WriteRows:
    """Writes rows as the preprocessing agent does."""

    def write(rows: list[dict[str, str]]) -> Path:
        path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def rows_train(write_rows: WriteRows, questions: list[dict[str, str]]) -> Path:
    """Four of five rows."""
    return write_rows([row for index, row in enumerate(questions) if index % 5])


@pytest.fixture(scope="session")
def rows_eval(write_rows: WriteRows, questions: list[dict[str, str]]) -> Path:
    return write_rows(questions[::5])
