"""Which engine takes a request, and when a failed one is tried again."""

from dataclasses import dataclass

import pytest

from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.routing import choose, pause_before_retry


@dataclass(frozen=True)
class Seen:
    name: str
    outstanding: int
    concurrency: int = 4
    turn: int = 0
    priority: int = 0
    weight: float = 1.0


def chosen(*candidates: Seen, holders: tuple[str, ...] = ()) -> str | None:
    found = choose(candidates, holders)
    return found.name if found is not None else None


def test_the_least_busy_engine_is_chosen() -> None:
    assert chosen(Seen("a", 3), Seen("b", 1), Seen("c", 2)) == "b"


def test_equals_take_turns() -> None:
    assert chosen(Seen("a", 0, turn=7), Seen("b", 0, turn=3)) == "b"


def test_a_full_engine_is_never_chosen() -> None:
    assert chosen(Seen("a", 1, concurrency=1), Seen("b", 3)) == "b"
    assert chosen(Seen("a", 4), Seen("b", 4)) is None
    assert chosen() is None


def test_the_highest_priority_with_room_is_chosen() -> None:
    assert chosen(Seen("a", 3, priority=1), Seen("b", 0)) == "a"
    assert chosen(Seen("a", 4, priority=1), Seen("b", 3)) == "b"


def test_a_weightier_engine_gets_more_of_the_work() -> None:
    assert chosen(Seen("a", 3, concurrency=9, weight=3), Seen("b", 1)) == "a"
    assert chosen(Seen("a", 6, concurrency=9, weight=3), Seen("b", 1)) == "b"


def test_an_engine_that_knows_the_beginning_is_chosen_unless_it_is_much_busier() -> None:
    assert chosen(Seen("a", 4, concurrency=9), Seen("b", 0), holders=("a",)) == "a"
    assert chosen(Seen("a", 5, concurrency=9), Seen("b", 0), holders=("a",)) == "b"
    assert chosen(Seen("a", 4), Seen("b", 0), holders=("a",)) == "b"
    assert chosen(Seen("a", 0), Seen("b", 0, priority=1), holders=("a",)) == "b"


def test_pauses_grow_and_are_spread() -> None:
    failure = EngineFailure(FailureKind.CONNECTION, "gone")
    pauses = [pause_before_retry(failure, attempt, elsewhere=False, chance=0.999) for attempt in range(1, 8)]
    assert pauses == sorted(pauses)  # type: ignore[type-var]
    assert pauses[-1] == pytest.approx(2.0, rel=0.01)
    least = pause_before_retry(failure, 1, elsewhere=False, chance=0.0)
    most = pause_before_retry(failure, 1, elsewhere=False, chance=0.999)
    assert least is not None
    assert most is not None
    assert least < most


def test_what_is_permanent_is_not_tried_again() -> None:
    for kind in (FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_LENGTH):
        assert pause_before_retry(EngineFailure(kind, "no"), 1, elsewhere=True, chance=0.5) is None


def test_what_another_engine_may_do_better_is_tried_there_alone() -> None:
    for kind in (FailureKind.AUTHENTICATION, FailureKind.QUOTA, FailureKind.TIMEOUT, FailureKind.INVALID_ANSWER):
        assert pause_before_retry(EngineFailure(kind, "no"), 1, elsewhere=True, chance=0.5) is not None
        assert pause_before_retry(EngineFailure(kind, "no"), 1, elsewhere=False, chance=0.5) is None


def test_an_engine_that_asks_for_time_gets_it_if_it_is_short() -> None:
    short = EngineFailure(FailureKind.OVERLOADED, "full", retry_after=3.0)
    long = EngineFailure(FailureKind.RATE_LIMITED, "slow down", retry_after=60.0)
    assert pause_before_retry(short, 1, elsewhere=False, chance=0.5) == 3.0
    assert pause_before_retry(long, 1, elsewhere=False, chance=0.5) is None


def test_another_engine_does_not_wait_for_the_wish_of_the_first() -> None:
    failure = EngineFailure(FailureKind.RATE_LIMITED, "slow down", retry_after=60.0)
    pause = pause_before_retry(failure, 1, elsewhere=True, chance=0.5)
    assert pause is not None
    assert pause < 1.0
