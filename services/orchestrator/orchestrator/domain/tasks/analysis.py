"""Decides whether one answer will do for a prompt, or a plan of several steps is worth its time, and says why.

Each signal that is found adds its weight; from `THRESHOLD` on the prompt is worth a plan. Nothing but the text is
looked at, so the same prompt is always decided the same way.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.domain.tasks import words
from orchestrator.domain.tasks.structure import Piece, Structure, structure

Decision = Literal["direct", "plan"]
THRESHOLD = 3.0

_MOST_EVIDENCE = 5
_LONGEST_EVIDENCE = 80


@dataclass(frozen=True)
class Signal:
    """Something about the prompt that speaks for a plan (a positive weight) or for a direct answer (a negative one).

    `evidence` are the words that it was seen in.
    """

    name: str
    weight: float
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """The decision about a prompt, and what it follows from."""

    structure: Structure
    signals: tuple[Signal, ...]

    @property
    def score(self) -> float:
        return round(sum(signal.weight for signal in self.signals), 2)

    @property
    def decision(self) -> Decision:
        return "plan" if self.score >= THRESHOLD else "direct"


def analyse(prompt: str) -> Analysis:
    """Reads `prompt`; see `structure` for how much of it."""
    found = structure(prompt)
    return Analysis(found, tuple(signal for signal in _signals(found) if signal.weight))


def _signals(found: Structure) -> Iterator[Signal]:
    instructions = [piece for piece in found.clauses if not piece.is_question]
    questions = [piece for piece in found.clauses if piece.is_question]
    yield _of_pieces("enumerated_steps", found.items, {2: 2.0, 3: 3.0})
    yield _of_pieces("several_deliverables", instructions, {2: 1.0, 3: 2.0, 4: 3.0})
    yield _of_pieces("several_questions", questions, {2: 0.5, 3: 1.5, 4: 3.0})
    if len(found.pieces) > 1:
        yield _sequence(found.pieces)
        yield _dependencies(found.pieces[1:])
    yield _of_matches("explicit_plan", words.EXPLICIT_PLAN, found.text, 2.0)
    # To explain something step by step is one answer; to do it so is more.
    yield _of_matches("step_by_step", words.STEP_BY_STEP, found.text, 0.5 if len(found.pieces) < 2 else 1.0)
    yield _of_matches("thorough_work", words.THOROUGH, found.text, 2.0)
    yield _of_matches("large_work", words.LARGE_WORK, found.text, 1.5)
    yield _aspects(found)
    yield _mixed_kinds(found.text)
    yield _length(found.word_count)
    if found.brings_material:
        yield Signal("works_on_given_text", -1.0 if len(found.pieces) < 2 else 0.0, ())
    if len(found.pieces) < 3:
        yield _of_matches("brevity_wanted", words.BRIEF, found.text, -2.0)


def _of_pieces(name: str, pieces: Iterable[Piece], weights: dict[int, float]) -> Signal:
    """A signal that grows with the number of pieces, as `weights` says."""
    texts = [piece.text for piece in pieces]
    weight = max((weight for number, weight in weights.items() if len(texts) >= number), default=0.0)
    return Signal(name, weight, _evidence(texts))


def _of_matches(name: str, pattern: re.Pattern[str], text: str, weight: float) -> Signal:
    found = [match[0] for match in pattern.finditer(text)]
    return Signal(name, weight if found else 0.0, _evidence(found))


def _sequence(pieces: Iterable[Piece]) -> Signal:
    ordered = [piece.text for piece in pieces if piece.follows]
    return Signal("sequence_words", float(min(len(ordered), 2)), _evidence(ordered))


def _dependencies(later: Iterable[Piece]) -> Signal:
    """Whether what comes later needs what came before."""
    strong = [match[0] for piece in later if (match := words.STRONG_REFERENCE.search(piece.text))]
    weak = [match[0] for piece in later if (match := words.BACK_REFERENCE.search(piece.text))]
    return Signal("dependencies", 1.0 if strong else 0.5 if weak else 0.0, _evidence(strong or weak))


def _aspects(found: Structure) -> Signal:
    aspects = found.aspects
    return Signal("several_aspects", 1.5 if len(aspects) >= 3 else 0.0, _evidence(aspects))


def _mixed_kinds(text: str) -> Signal:
    kinds = [kind for kind, pattern in words.KINDS.items() if pattern.search(text)]
    return Signal("mixed_kinds_of_work", {2: 0.5, 3: 1.0}.get(len(kinds), 0.0), tuple(kinds))


def _length(word_count: int) -> Signal:
    weight = 1.0 if word_count > 300 else 0.5 if word_count > 120 else 0.0
    return Signal("length", weight, (f"{word_count} words",))


def _evidence(texts: Iterable[str]) -> tuple[str, ...]:
    shown = list(texts)[:_MOST_EVIDENCE]
    return tuple(
        text if len(text) <= _LONGEST_EVIDENCE else text[: _LONGEST_EVIDENCE - 1].rstrip() + "…" for text in shown
    )
