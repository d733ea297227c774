"""Scores of answers against values worked out by hand and those that the measures' own programs print."""

import numpy as np
import pytest

from contracts.pipeline import EvaluationConfig
from trainer.domain.measures import Bootstrap, Measures, RowResult
from trainer.domain.scores import (
    confusion,
    exact_match,
    label_of,
    labels_among,
    macro_f1,
    rouge_l,
    token_f1,
)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("The cat.", "cat", 1.0),
        ("Denver  Broncos", "denver broncos!", 1.0),
        ("a dog", "cat", 0.0),
        ("", "", 1.0),
        ("", "cat", 0.0),
    ],
)
def test_exact_match_is_squads(answer: str, reference: str, score: float) -> None:
    assert exact_match(answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("the cat sat on the mat", "cat sat", 2 * (2 / 4) * 1.0 / (2 / 4 + 1.0)),
        ("cat cat cat", "cat", 2 * (1 / 3) / (1 / 3 + 1)),
        ("dog", "cat", 0.0),
        ("the", "a", 1.0),
        ("the", "cat", 0.0),
    ],
)
def test_token_f1_is_squads(answer: str, reference: str, score: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        # Lin 2004, the example of section 3.1, with beta 1.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("the gunman police killed", "police killed the gunman", 0.5),
        # What google-research's rouge_score prints.
        ("The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog", 0.5882352941176471),
        ("Hello, World!", "hello world", 1.0),
        ("", "hello", 0.0),
        ("!", "!", 0.0),
    ],
)
def test_rouge_l_is_that_of_its_paper_and_of_its_program(answer: str, reference: str, score: float) -> None:
    assert rouge_l(answer, reference) == pytest.approx(score)


def test_labels_are_few_short_and_repeated() -> None:
    assert labels_among(["spam", "ham", "spam ", "ham", "spam", "ham"]) == ["ham", "spam"]
    assert labels_among(["spam", "ham", "eggs"]) is None
    assert labels_among(["spam"] * 9) is None
    assert labels_among(["a long answer " * 9, "another"] * 9) is None
    assert labels_among([]) is None


def test_an_answer_is_the_label_it_begins_with_if_it_is_any() -> None:
    labels = ["spam", "not spam", "not"]
    said = ["Spam.", "not spam, I think", "not really", "spammy", "I say spam", "", " NOT SPAM "]
    assert [label_of(answer, labels) for answer in said] == [0, 1, 2, 3, 3, 3, 1]


def test_macro_f1_of_a_matrix() -> None:
    matrix = confusion(["a", "b", "c"], truths=[0, 0, 1, 1, 1], answers=[0, 1, 1, 1, 3])
    assert matrix.counts == [[1, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0]]
    # F1 of a: 2/3; of b: 4/6; c is neither true nor answered.
    assert macro_f1(matrix.counts) == pytest.approx(2 / 3)


def _measures(losses: list[float], answers: list[str | None] | None = None) -> Measures:
    said = answers or [None] * len(losses)
    results = [RowResult(loss, 2, 1, answer) for loss, answer in zip(losses, said, strict=True)]
    return Measures(results, ["yes", "no"] * (len(losses) // 2), ["no", "yes"])


def test_metrics_are_means_over_tokens_and_rows() -> None:
    metrics = _measures([2.0, 4.0], ["yes", "yes"]).metrics()
    assert metrics["loss"] == 1.5
    assert metrics["perplexity"] == pytest.approx(np.exp(1.5))
    assert metrics["token_accuracy"] == 0.5
    assert metrics["accuracy"] == 0.5
    assert metrics["f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert metrics["exact_match"] == 0.5
    assert set(_measures([1.0, 1.0]).metrics()) == {"loss", "perplexity", "token_accuracy"}


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Means of 60 rows from a known distribution: 90 % of the intervals hold its mean, give or take."""
    random = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        rows = _measures((2 * random.gamma(2.0, 1.0, 60)).tolist())
        bootstrap = Bootstrap(300, 0.9, seed)
        interval = bootstrap.interval(rows.metrics()["loss"], rows.draws("loss", bootstrap.rows(60)))
        hits += interval.low <= 2.0 <= interval.high
        assert interval.low <= interval.value <= interval.high
    assert 165 <= hits <= 193


def test_paired_draws_tell_apart_what_intervals_alone_do_not() -> None:
    """Rows differ a lot from each other, and one model is a little better on each of them."""
    random = np.random.default_rng(3)
    hard = random.gamma(2.0, 2.0, 80)
    first, second = _measures(hard.tolist()), _measures((hard + 0.1 + random.normal(0, 0.05, 80)).tolist())
    bootstrap = Bootstrap(500, 0.95, 1)
    draws = [measures.draws("loss", bootstrap.rows(80)) for measures in (first, second)]
    intervals = [bootstrap.interval(0.0, draw) for draw in draws]
    assert intervals[0].high > intervals[1].low, "each by itself they overlap"
    assert bootstrap.interval(0.0, draws[1] - draws[0]).low > 0


def test_draws_come_a_few_at_once_and_are_the_same_each_time() -> None:
    """All draws of many held-out rows are more than memory holds."""
    bootstrap = Bootstrap(200, 0.95, 5)
    first, second = list(bootstrap.rows(20_000)), list(bootstrap.rows(20_000))
    assert max(map(len, first)) * 20_000 <= 1 << 20
    assert sum(map(len, first)) == 200
    assert all((one == other).all() for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "config",
    [{"labels": ["a", "b"], "task": "generation"}, {"labels": ["a", "a"]}, {"labels": ["a"]}, {"task": "regression"}],
)
def test_a_configuration_that_contradicts_itself_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        EvaluationConfig.model_validate(config)
