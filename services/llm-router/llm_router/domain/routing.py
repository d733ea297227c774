"""Which engine takes a request, and whether a failed one is worth another attempt."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from llm_router.domain.failures import EngineFailure

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_LONGEST_WISH = 5.0


class Candidate(Protocol):
    """An engine as routing sees it; `turn` grows with each request it was given."""

    @property
    def outstanding(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def turn(self) -> int: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


def least_outstanding(candidates: Iterable[CandidateT]) -> CandidateT | None:
    """The one with the least to do among those with room; of equals the one that has waited longest for a turn."""
    with_room = [c for c in candidates if c.outstanding < c.concurrency]
    return min(with_room, key=lambda c: (c.outstanding, c.turn), default=None)


def pause_before_retry(failure: EngineFailure, attempt: int, *, elsewhere: bool, chance: float) -> float | None:
    """Seconds to wait after failed attempt number `attempt` (from 1), or None when it is not worth another.

    `elsewhere` says that another engine can take it, so the wish of the one that failed does not matter. `chance` in
    [0, 1) spreads callers that failed together.
    """
    if not failure.trait.retryable:
        return None
    pause = min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE) * (0.5 + chance / 2)
    if elsewhere or failure.retry_after is None:
        return pause
    return max(pause, failure.retry_after) if failure.retry_after <= _LONGEST_WISH else None
