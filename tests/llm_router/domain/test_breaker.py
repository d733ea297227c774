"""When an engine is left alone, and how it comes back."""

from llm_router.domain.breaker import Breaker


def tripped(now: float = 100.0) -> Breaker:
    breaker = Breaker(threshold=3, cooldown=5.0, longest=60.0)
    for _ in range(3):
        breaker.start()
        breaker.fail(now)
    return breaker


def test_failures_below_the_threshold_change_nothing() -> None:
    breaker = Breaker(threshold=3)
    breaker.fail(0.0)
    breaker.fail(0.0)
    assert breaker.allows(0.0)


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker(threshold=2)
    breaker.fail(0.0)
    breaker.succeed()
    breaker.fail(0.0)
    assert breaker.allows(0.0)


def test_after_failures_in_a_row_nothing_passes_until_the_pause_is_over() -> None:
    breaker = tripped(now=100.0)
    assert not breaker.allows(104.9)
    assert breaker.allows(105.0)


def test_one_trial_passes_at_a_time() -> None:
    breaker = tripped()
    breaker.start()
    assert not breaker.allows(106.0)


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = tripped()
    breaker.start()
    breaker.succeed()
    assert not breaker.is_open
    assert breaker.allows(106.0)


def test_a_trial_that_fails_doubles_the_pause_up_to_a_limit() -> None:
    breaker = tripped(now=100.0)
    breaker.start()
    breaker.fail(105.0)
    assert not breaker.allows(114.9)
    assert breaker.allows(115.0)
    for _ in range(50):
        breaker.fail(200.0)
    assert breaker.open_until == 260.0


def test_a_trial_that_was_abandoned_leaves_room_for_another() -> None:
    breaker = tripped()
    breaker.start()
    breaker.abandon()
    assert breaker.allows(106.0)
