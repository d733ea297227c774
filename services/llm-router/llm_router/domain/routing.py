"""Which engine takes a request, and whether a failed one is worth another attempt."""

from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from llm_router.domain.failures import EngineFailure

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_LONGEST_WISH = 5.0
_AFFINITY_SLACK = 4
"""Requests that an engine which knows the prompt's beginning may have more than the least busy one."""


class Candidate(Protocol):
    """An engine as routing sees it; `turn` grows with each request it was given."""

    @property
    def name(self) -> str: ...

    @property
    def outstanding(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def turn(self) -> int: ...

    @property
    def priority(self) -> int: ...

    @property
    def weight(self) -> float: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


def choose(candidates: Iterable[CandidateT], holders: Collection[str] = ()) -> CandidateT | None:
    """Of those with room and the highest priority, the one with the least to do for its weight.

    Of equals it is the one that has waited longest for a turn. One of `holders`, which know the prompt's beginning, is
    taken instead unless it is much busier.
    """
    with_room = [c for c in candidates if c.outstanding < c.concurrency]
    if len(with_room) == 1:
        return with_room[0]
    highest = max((c.priority for c in with_room), default=0)
    equals = [c for c in with_room if c.priority == highest]
    least = min(equals, key=load, default=None)
    if least is None or not holders:
        return least
    holding = min((c for c in equals if c.name in holders), key=load, default=least)
    return holding if holding.outstanding - least.outstanding <= _AFFINITY_SLACK else least


def load(candidate: Candidate) -> tuple[float, int]:
    """What a candidate would have to do with one request more, for its weight; then its turn."""
    return (candidate.outstanding + 1) / candidate.weight, candidate.turn


def pause_before_retry(failure: EngineFailure, attempt: int, *, elsewhere: bool, chance: float) -> float | None:
    """Seconds to wait after failed attempt number `attempt` (from 1), or None when it is not worth another.

    `elsewhere` says that another engine can take it, so the wish of the one that failed does not matter. `chance` in
    [0, 1) spreads callers that failed together.
    """
    if not (failure.trait.retryable or (elsewhere and failure.trait.movable)):
        return None
    pause = min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE) * (0.5 + chance / 2)
    if elsewhere or failure.retry_after is None:
        return pause
    return max(pause, failure.retry_after) if failure.retry_after <= _LONGEST_WISH else None
