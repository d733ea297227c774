"""Cleaning tidies text without touching what it says."""

import pytest

from trainer.domain.cleaning import clean


@pytest.mark.parametrize(
    ("raw", "tidy"),
    [
        ("cafe\u0301", "café"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\u00a0b\u2003c", "a b c"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bell\x07 null\x00", "bell null"),
        ("trailing  \nspace\t\n", "trailing\nspace"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("  both ends  ", "both ends"),
    ],
)
def test_one_form_of_every_character_and_blank(raw: str, tidy: str) -> None:
    assert clean(raw) == tidy


def test_code_keeps_its_indentation() -> None:
    code = "def f():\n    if True:\n\treturn 1"
    assert clean(code) == code


def test_joiners_that_scripts_and_emoji_need_stay() -> None:
    assert clean("👩\u200d💻 می\u200cخواهم") == "👩\u200d💻 می\u200cخواهم"


def test_clean_text_stays_as_it_is() -> None:
    assert clean(clean("a\u00a0\r\n\r\n\r\n\r\n\r\nb\x00")) == clean("a\u00a0\r\n\r\n\r\n\r\n\r\nb\x00")
