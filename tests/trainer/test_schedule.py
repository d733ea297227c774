import math

import pytest

from contracts.pipeline import TrainingConfig
from trainer.domain.schedule import learning_rate, step_seed, steps_per_epoch, total_steps


def test_an_epoch_ends_with_a_smaller_step_when_rows_are_left() -> None:
    config = TrainingConfig(gradient_accumulation_steps=2)
    assert steps_per_epoch(4, config) == 2
    assert steps_per_epoch(5, config) == 3


def test_part_of_an_epoch_is_rounded_up_to_a_step() -> None:
    assert total_steps(10, TrainingConfig(epochs=0.25)) == 3
    assert total_steps(1, TrainingConfig(epochs=0.01)) == 1


def test_max_steps_overrides_epochs() -> None:
    assert total_steps(1000, TrainingConfig(epochs=100, max_steps=7)) == 7


def test_the_rate_warms_up_without_a_step_at_zero_and_then_decays() -> None:
    config = TrainingConfig(learning_rate=0.1, warmup_ratio=0.1, lr_scheduler_type="cosine")
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == rates[10] == 0.1
    assert rates[55] == pytest.approx(0.05)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_a_linear_rate_falls_evenly_and_a_constant_one_stays() -> None:
    linear = TrainingConfig(learning_rate=0.1, warmup_ratio=0, lr_scheduler_type="linear")
    constant = linear.model_copy(update={"lr_scheduler_type": "constant"})
    assert learning_rate(5, 10, linear) == pytest.approx(0.05)
    assert learning_rate(9, 10, constant) == 0.1


def test_a_rate_ends_at_the_share_of_its_peak_that_was_asked_for() -> None:
    config = TrainingConfig(learning_rate=0.1, warmup_steps=10, min_lr_ratio=0.1)
    for schedule in ("linear", "cosine", "inverse_sqrt"):
        rates = [
            learning_rate(step, 1000, config.model_copy(update={"lr_scheduler_type": schedule})) for step in range(1000)
        ]
        assert rates[4] == pytest.approx(0.05)
        assert max(rates) == pytest.approx(0.1, rel=0.05)
        assert rates[-1] == pytest.approx(0.01, rel=0.01)


def test_a_warm_up_over_almost_all_steps_still_ends() -> None:
    config = TrainingConfig(warmup_ratio=0.999)
    assert all(math.isfinite(learning_rate(step, 10, config)) for step in range(10))


def test_every_step_has_random_numbers_of_its_own() -> None:
    seeds = {step_seed(seed, step) for seed in (1, 2) for step in range(100)}
    assert len(seeds) == 200
    assert step_seed(1, 5) == step_seed(1, 5)
