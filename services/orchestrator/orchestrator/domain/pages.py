"""How much of a list is answered at once."""

from collections.abc import Sequence
from typing import TypeVar

from contracts.base import Message

ItemT = TypeVar("ItemT", bound=Message)

MOST = 100
"""Items that are looked up for a page whose length nobody says."""
_MOST_BYTES = 2_000_000
"""Of all items of a page together: far below the bus's payload limit."""


def fitting(items: Sequence[ItemT]) -> list[ItemT]:
    """As many of the first `items` as one page may hold, at least one."""
    fits: list[ItemT] = []
    room = _MOST_BYTES
    for item in items:
        room -= len(item.model_dump_json())
        if fits and room < 0:
            break
        fits.append(item)
    return fits
