"""Waiting for something to end by looking at it again and again."""

from collections.abc import Callable
from typing import TypeVar

from llm_platform.core.effects import Sleep, Steps
from llm_platform.errors import TimedOut

T = TypeVar("T")


def wait_for(
    look: Callable[[], Steps[T]], has_ended: Callable[[T], bool], what: str, *, every: float, timeout: float | None
) -> Steps[T]:
    """What there is to see once it has ended. Raises `TimedOut` after `timeout` seconds of pauses."""
    waited = 0.0
    while True:
        seen = yield from look()
        if has_ended(seen):
            return seen
        if timeout is not None and waited >= timeout:
            raise TimedOut(f"{what} goes on after {waited:.0f} seconds")
        yield from Sleep(every)
        waited += every
