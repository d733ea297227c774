"""Runs and steps as they are remembered, for those who ask about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Submission:
    """A run that somebody asks for: its `definition` as given, and the `options` that hold for all of its steps.

    `owner` is the id of the principal, empty where there is none. `traceparent` is the W3C trace context of the asking.
    """

    kind: str
    run_id: str
    owner: str
    idempotency_key: str | None
    definition: dict[str, Any]
    options: dict[str, Any]
    traceparent: str | None


@dataclass(frozen=True)
class Claim:
    """A step of the run number `run` that a worker has just claimed, with the outputs of its ancestors, nearest first.

    `options` hold for every step of the run. `waited` is for how many seconds the step could have been claimed. `parts`
    counts those of a step that was split and is to join them; `kept_parts` is what it takes over of them when it is.
    With `approval` it is not to be done before a person has been asked.
    """

    step_id: int
    run: int
    run_id: str
    name: str
    kind: str
    attempt: int
    max_attempts: int
    fence: int
    deadline: datetime
    config: dict[str, Any]
    options: dict[str, Any]
    traceparent: str | None
    inputs: tuple[dict[str, Any], ...]
    waited: float
    parts: int
    kept_parts: list[dict[str, Any]] | None
    approval: bool


@dataclass(frozen=True)
class PartRecord:
    """A part of a split step that has ended: with an `output`, or an `error` where it has failed."""

    config: dict[str, Any]
    output: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Hint:
    """A step that can be claimed. `fence` and `number` tell this hint from earlier ones about the same step."""

    step_id: int
    kind: str
    run_kind: str
    fence: int
    number: int
