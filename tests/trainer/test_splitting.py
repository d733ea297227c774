"""The split keeps equal questions together, is repeatable and leaves something on both sides."""

import pytest

from contracts.base import RefusalCode, Refused
from trainer.domain.splitting import held_out


def test_about_the_asked_share_is_held_out() -> None:
    assert sum(held_out([str(n) for n in range(1000)], 0.1, seed=42)) == 100


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    groups = [str(n) for n in range(100)]
    assert held_out(groups, 0.2, seed=1) == held_out(groups, 0.2, seed=1)
    assert held_out(groups, 0.2, seed=1) != held_out(groups, 0.2, seed=2)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(seed: int) -> None:
    groups = [str(n % 37) for n in range(500)]
    mask = held_out(groups, 0.15, seed=seed)
    held = {group for group, out in zip(groups, mask, strict=True) if out}
    trained = {group for group, out in zip(groups, mask, strict=True) if not out}
    assert held and trained
    assert not held & trained


def test_one_huge_group_does_not_swallow_the_evaluation() -> None:
    groups = ["huge"] * 900 + [str(n) for n in range(100)]
    assert sum(held_out(groups, 0.05, seed=3)) == 50


def test_groups_that_are_all_too_large_give_the_smallest() -> None:
    assert held_out(["a"] * 5 + ["b"] * 4, 0.1, seed=0) == [False] * 5 + [True] * 4


def test_both_sides_get_a_row_even_of_two() -> None:
    assert sum(held_out(["a", "b"], 0.01, seed=0)) == 1
    assert sum(held_out(["a", "b"], 0.99, seed=0)) == 1


def test_a_single_question_cannot_be_split() -> None:
    with pytest.raises(Refused) as refused:
        held_out(["same", "same"], 0.5, seed=0)
    assert refused.value.code is RefusalCode.DATASET_INVALID
