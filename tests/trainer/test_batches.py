import random

from contracts.pipeline import TrainingConfig
from trainer.domain.batches import plan_epoch, plan_measurement, plan_run

LENGTHS = [random.Random(1).randrange(5, 300) for _ in range(1001)]
CONFIG = TrainingConfig(batch_size=8, gradient_accumulation_steps=3, epochs=2, seed=7)


def _rows(steps: list[list[tuple[int, ...]]]) -> list[int]:
    return [row for step in steps for batch in step for row in batch]


def test_an_epoch_has_every_row_exactly_once() -> None:
    assert sorted(_rows(plan_epoch(LENGTHS, CONFIG, 0))) == list(range(1001))


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    first = plan_epoch(LENGTHS, CONFIG, 0)
    assert first == plan_epoch(LENGTHS, CONFIG, 0)
    assert first != plan_epoch(LENGTHS, CONFIG, 1)
    assert first != plan_epoch(LENGTHS, CONFIG.model_copy(update={"seed": 8}), 0)


def test_rows_of_a_batch_are_of_about_one_length() -> None:
    batches = [batch for step in plan_epoch(LENGTHS, CONFIG, 0) for batch in step]
    padded = sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in batches)
    assert padded < 1.08 * sum(LENGTHS)


def test_short_and_long_rows_stay_mixed_over_the_epoch() -> None:
    rows = _rows(plan_epoch(LENGTHS, CONFIG, 0))
    early, late = ([LENGTHS[row] for row in half] for half in (rows[:500], rows[500:]))
    assert abs(sum(early) / 500 - sum(late) / 501) < 30


def test_a_run_that_starts_late_does_what_is_left_of_the_whole_run() -> None:
    whole = list(plan_run(LENGTHS, CONFIG, 0))
    assert len(whole) == 84
    for start in (0, 1, 41, 42, 43, 83, 84):
        assert list(plan_run(LENGTHS, CONFIG, start)) == whole[start:]


def test_a_run_ends_at_its_last_step_even_within_an_epoch() -> None:
    assert len(list(plan_run(LENGTHS, CONFIG.model_copy(update={"max_steps": 50}), 0))) == 50


def test_a_measurement_takes_every_row_once_and_the_longest_first() -> None:
    plan = plan_measurement(LENGTHS, 8)
    assert sorted(_rows([plan])) == list(range(1001))
    assert LENGTHS[plan[0][0]] == max(LENGTHS)
