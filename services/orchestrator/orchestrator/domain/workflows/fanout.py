"""`for_each`: the items of a list, and their responses as one."""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.base import RefusalCode, Refused
from orchestrator.domain.actions.templates import text

MOST_ITEMS = 1000
BETWEEN_RESPONSES = "\n\n"


def items(value: Any) -> list[str]:
    """The items of a list, of a text that is a JSON array, or of any other text: its lines that are not empty.

    Raises `Refused(INVALID)` for more of them than are done, and for what is neither list nor text.
    """
    found = _listed(value)
    if found is None:
        raise Refused(RefusalCode.INVALID, f"for_each needs a list or a text, not {type(value).__name__}")
    if len(found) > MOST_ITEMS:
        raise Refused(RefusalCode.INVALID, f"for_each was given {len(found)} items; {MOST_ITEMS} are allowed")
    return found


def joined(responses: Sequence[str]) -> str:
    """The response of the payload as a whole, which those after it see."""
    return BETWEEN_RESPONSES.join(responses)


def _listed(value: Any) -> list[str] | None:
    if isinstance(value, list):
        return [text(item) for item in value]
    if not isinstance(value, str):
        return None
    if value.lstrip().startswith("["):
        try:
            read = orjson.loads(value)
        except orjson.JSONDecodeError:
            read = None
        if isinstance(read, list):
            return [text(item) for item in read]
    return [line.strip() for line in value.splitlines() if line.strip()]
