"""Text from tokens: the pieces join to the whole, no character is broken, nothing of a stop text is given."""

import random

import pytest

from engines.local.text_stream import IncrementalDecoder, StopMatcher

from .conftest import make_tokenizer

TOKENIZER = make_tokenizer()


def pieces_of(tokens: list[int]) -> list[str]:
    decoder = IncrementalDecoder(TOKENIZER)
    return [*(decoder.push(token) for token in tokens), decoder.flush()]


@pytest.mark.parametrize("text", ["the quick brown fox", "naïve café", "你好, 世界", "🦊🏽 jumps 🐶", "a\n\n  b\t"])
def test_pieces_join_to_the_text_and_break_no_character(text: str) -> None:
    pieces = pieces_of(TOKENIZER(text)["input_ids"])
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_several_tokens_comes_with_its_last_one() -> None:
    tokens = TOKENIZER("🦊")["input_ids"]
    assert len(tokens) == 4
    assert pieces_of(tokens) == ["", "", "", "🦊", ""]


def test_bytes_that_never_become_a_character_come_at_the_end() -> None:
    tokens = TOKENIZER("🦊")["input_ids"][:2]
    assert "".join(pieces_of(tokens)) == TOKENIZER.decode(tokens)


def test_any_tokens_join_to_what_decoding_them_at_once_gives() -> None:
    dice = random.Random(0)
    for _ in range(50):
        tokens = [dice.randrange(6, len(TOKENIZER)) for _ in range(40)]
        assert "".join(pieces_of(tokens)) == TOKENIZER.decode(tokens)


def test_a_stop_text_is_found_across_pieces_and_not_given() -> None:
    matcher = StopMatcher(("STOP",))
    given = [matcher.push(piece) for piece in ("one S", "T two S", "TO", "P three")]
    assert given == ["one ", "ST two ", "", ""]
    assert matcher.matched


def test_the_first_of_several_stop_texts_ends_the_text() -> None:
    matcher = StopMatcher(("world", "\n"))
    assert matcher.push("hello\nworld") == "hello"


def test_the_beginning_of_a_stop_text_is_given_when_nothing_follows() -> None:
    matcher = StopMatcher(("STOP",))
    assert matcher.push("one STO") == "one "
    assert matcher.flush() == "STO"
    assert not matcher.matched
