"""What schedules and webhooks have in common: who may change them, and how much they may keep."""

from typing import Any

from contracts.base import RefusalCode, Refused
from orchestrator.domain.storable import unstorable

MOST = 100
"""Schedules, and as many webhooks, of one workflow."""
_MOST_INPUT_CHARACTERS = 100_000


def check_kept(inputs: dict[str, Any]) -> None:
    """Raises `Refused(INVALID)` for inputs that cannot be kept, or are more than a schedule may hold."""
    errors = list(unstorable(inputs, "inputs"))
    if not errors and len(repr(inputs)) > _MOST_INPUT_CHARACTERS:
        errors = [{"field": "inputs", "message": f"must have at most {_MOST_INPUT_CHARACTERS} characters together"}]
    if errors:
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})


def not_yours() -> Refused:
    """What it starts is done in the owner's name and paid from the owner's budget."""
    return Refused(RefusalCode.FORBIDDEN, "Only its owner or an admin may change it")


def too_many(noun: str) -> Refused:
    return Refused(RefusalCode.CONFLICT, f"A workflow has at most {MOST} {noun}")


def not_found(noun: str, number: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"{noun} not found", {"id": number})
