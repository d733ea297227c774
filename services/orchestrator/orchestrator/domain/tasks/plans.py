"""Makes the plan of a task from the structure of its prompt: who needs whose result, and one step that answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestrator.domain.graph import graph
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.tasks import words
from orchestrator.domain.tasks.structure import Piece, Structure

STEP_KIND = "TaskStep"
"""The kind of a task's steps, which the orchestrator itself works on."""
ANSWER = "answer"
"""The name of the last step, whose result is the task's."""
MOST_STEPS = 12
"""Besides the last. Neighbours of a longer plan are done together."""

_ANSWER = (
    "Write the final answer to the whole task from the results above. Give everything that was asked for, in the order"
    " in which it was asked, and do not mention the steps."
)
_LARGE_WORK = (
    "Outline the work: list what has to be covered to do the task well, in order, with a line on each point.",
    "Write the work in full, point by point, along the outline.",
    "Review the draft: list what is missing, wrong or unclear, and how to correct it.",
)


@dataclass(frozen=True)
class Part:
    """One step to be: what to do, and the positions of the parts whose results it needs."""

    instruction: str
    needs: frozenset[int]


def task_plan(found: Structure, *, max_attempts: int, timeout_seconds: float) -> Plan:
    """The steps that a prompt of this structure is worked on in, the last of which writes the answer."""
    parts = _joined(list(_parts(found)))
    names = [f"step {number}" for number in range(1, len(parts) + 1)]
    edges = [(names[need], names[position]) for position, part in enumerate(parts) for need in sorted(part.needs)]
    needed = {need for need, _ in edges}
    edges += [(name, ANSWER) for name in names if name not in needed]
    shape = graph([*names, ANSWER], edges)
    return Plan(
        steps=tuple(
            PlannedStep(name, STEP_KIND, _config(instruction), shape.needs[position], shape.ancestors(position))
            for position, (name, instruction) in enumerate(
                zip(shape.names, [*(part.instruction for part in parts), _ANSWER], strict=True)
            )
        ),
        max_attempts=max_attempts,
        timeout_seconds=timeout_seconds,
        dataset_ids=frozenset(),
    )


def _config(instruction: str) -> dict[str, Any]:
    return {"instruction": instruction}


def _parts(found: Structure) -> Iterator[Part]:
    """The pieces of the prompt; of a large work its aspects; else a chain of outline, draft and review."""
    pieces = found.pieces
    if len(pieces) > 1:
        for position, piece in enumerate(pieces):
            yield Part(piece.text, _needs(piece, position, in_order=found.in_order))
    elif len(found.aspects) > 1:
        for aspect in found.aspects:
            yield Part(f"Work out the part about: {aspect}", frozenset())
    else:
        for position, instruction in enumerate(_LARGE_WORK):
            yield Part(instruction, frozenset({position - 1}) if position else frozenset())


def _needs(piece: Piece, position: int, *, in_order: bool) -> frozenset[int]:
    """What is asked for in an order or points back needs what is right before it; the rest needs nothing."""
    named = {int(number) - 1 for number in words.NUMBERED_REFERENCE.findall(piece.text)}
    if earlier := frozenset(number for number in named if 0 <= number < position):
        return earlier
    points_back = words.BACK_REFERENCE.search(piece.text) or words.STRONG_REFERENCE.search(piece.text)
    if position and (piece.follows or points_back or (in_order and not piece.is_question)):
        return frozenset({position - 1})
    return frozenset()


def _joined(parts: Sequence[Part]) -> list[Part]:
    """At most `MOST_STEPS` parts: neighbours become one where there are more."""
    if len(parts) <= MOST_STEPS:
        return list(parts)
    bounds = [round(number * len(parts) / MOST_STEPS) for number in range(MOST_STEPS + 1)]
    place = {part: group for group, (start, end) in enumerate(pairwise(bounds)) for part in range(start, end)}
    return [
        Part(
            "\n".join(part.instruction for part in parts[start:end]),
            frozenset(place[need] for part in parts[start:end] for need in part.needs) - {group},
        )
        for group, (start, end) in enumerate(pairwise(bounds))
    ]
