import random

from contracts.pipeline import TrainingConfig
from trainer.domain.batches import RunPlan, pack, plan_measurement

LENGTHS = [random.Random(1).randrange(5, 300) for _ in range(1001)]
CONFIG = TrainingConfig(batch_size=8, gradient_accumulation_steps=3, epochs=2, seed=7)


def _plan(config: TrainingConfig = CONFIG, *, padded: bool = True) -> RunPlan:
    return RunPlan(LENGTHS, config, padded=padded, room=512)


def _rows(steps: list[list[tuple[int, ...]]]) -> list[int]:
    return [row for step in steps for batch in step for row in batch]


def test_an_epoch_has_every_row_exactly_once() -> None:
    for padded in (True, False):
        assert sorted(_rows(_plan(padded=padded).epoch(0))) == list(range(1001))


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    first = _plan().epoch(0)
    assert first == _plan().epoch(0)
    assert first != _plan().epoch(1)
    assert first != _plan(CONFIG.model_copy(update={"seed": 8})).epoch(0)


def test_rows_of_a_padded_batch_are_of_about_one_length() -> None:
    batches = [batch for step in _plan().epoch(0) for batch in step]
    padded = sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in batches)
    assert padded < 1.08 * sum(LENGTHS)


def test_short_and_long_rows_stay_mixed_over_the_epoch() -> None:
    rows = _rows(_plan().epoch(0))
    early, late = ([LENGTHS[row] for row in half] for half in (rows[:500], rows[500:]))
    assert abs(sum(early) / 500 - sum(late) / 501) < 30


def test_a_run_that_starts_late_does_what_is_left_of_the_whole_run() -> None:
    whole = list(_plan().steps(0))
    assert len(whole) == 84
    for start in (0, 1, 41, 42, 43, 83, 84):
        assert list(_plan().steps(start)) == whole[start:]


def test_a_run_ends_at_its_last_step_even_within_an_epoch() -> None:
    assert len(list(_plan(CONFIG.model_copy(update={"max_steps": 50})).steps(0))) == 50


def test_packed_sequences_are_nearly_full_and_never_too_long() -> None:
    sequences = pack(LENGTHS, 512)
    assert sorted(row for sequence in sequences for row in sequence) == list(range(1001))
    sizes = [sum(LENGTHS[row] for row in sequence) for sequence in sequences]
    assert max(sizes) <= 512
    assert sum(LENGTHS) > 0.99 * 512 * (len(sequences) - 1)


def test_a_row_longer_than_a_sequence_stands_alone() -> None:
    assert pack([600, 10, 502], 512) == [(0,), (2, 1)]


def test_with_packing_a_batch_is_that_many_sequences_and_an_epoch_fewer_steps() -> None:
    packed = _plan(CONFIG.model_copy(update={"packing": True}), padded=False)
    assert packed.per_epoch < _plan().per_epoch / 2
    assert sorted(_rows(packed.epoch(1))) == list(range(1001))
    sizes = [sum(LENGTHS[row] for row in batch) for step in packed.epoch(0) for batch in step]
    assert max(sizes) <= packed.widest <= 8 * 512
    assert len(list(packed.steps(3))) == packed.total - 3


def test_a_measurement_takes_every_row_once_and_the_longest_first() -> None:
    plan = plan_measurement(LENGTHS, 8)
    assert sorted(_rows([plan])) == list(range(1001))
    assert LENGTHS[plan[0][0]] == max(LENGTHS)
