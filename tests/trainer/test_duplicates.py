"""Near duplicates are found by the words they share, and quickly."""

import random
import time

from trainer.domain.duplicates import contaminated, near_duplicates

_TEXT = (
    "Return a list of the names of the files in the directory given by path. The list is in arbitrary order and does "
    "not include the special entries dot and dot dot even if they are present in the directory."
)


def test_a_text_that_differs_by_a_word_is_a_near_duplicate() -> None:
    assert near_duplicates([_TEXT, _TEXT.replace("present", "there"), "Something else altogether."]) == [
        False,
        True,
        False,
    ]


def test_case_and_punctuation_do_not_matter() -> None:
    assert near_duplicates([_TEXT, _TEXT.upper().replace(".", "!")]) == [False, True]


def test_texts_that_share_half_their_words_are_kept() -> None:
    words = _TEXT.split()
    other = " ".join(words[: len(words) // 2]) + " but from here on the other text speaks of wholly different matters"
    assert near_duplicates([_TEXT, other]) == [False, False]


def test_the_first_of_many_is_kept() -> None:
    assert near_duplicates([_TEXT] * 4) == [False, True, True, True]


def test_a_text_is_contaminated_by_one_held_out_that_is_nearly_the_same() -> None:
    near, far = _TEXT.replace("present", "there"), "Something else altogether."
    assert contaminated([near, far, near], [_TEXT], 0.8) == [True, False, True]
    assert contaminated([near], [_TEXT], 1.0) == [False]


def test_texts_without_words_are_compared_as_they_are() -> None:
    assert near_duplicates(["!!!", "???", "!!!", ""]) == [False, False, True, False]


def test_three_thousand_rows_take_less_than_two_seconds() -> None:
    generator = random.Random(1)
    words = [f"word{number}" for number in range(2000)]
    texts = [" ".join(generator.choices(words, k=80)) for _ in range(3000)]
    started = time.process_time()
    assert not any(near_duplicates(texts))
    assert time.process_time() - started < 2
