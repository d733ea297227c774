"""API keys: what their text says, what is kept of them, and what each role may do."""

import pytest

from gateway.domain.keys import digest, may, mint, opens, parse


def test_a_minted_key_reads_back_and_opens() -> None:
    key = mint()
    parsed = parse(key.text)
    assert parsed is not None
    assert parsed[0] == key.key_id
    assert opens(parsed[1], key.digest)


def test_no_two_keys_are_alike_and_none_is_kept() -> None:
    one, other = mint(), mint()
    assert one.key_id != other.key_id
    assert one.digest != other.digest
    assert one.text.encode() not in one.digest


def test_another_secret_does_not_open() -> None:
    assert not opens("other", digest("secret"))


@pytest.mark.parametrize("text", ["", "llmp", "llmp_", "llmp_id", "llmp_id_", "llmp__secret", "sk_id_secret", "ü"])
def test_what_is_no_key_of_ours_has_no_parts(text: str) -> None:
    assert parse(text) is None


def test_a_secret_may_hold_the_separator() -> None:
    assert parse("llmp_ab_c_d-e_") == ("ab", "c_d-e_")


def test_each_role_may_do_what_lesser_ones_may() -> None:
    assert may("admin", "member")
    assert may("member", "viewer")
    assert may("viewer", "viewer")
    assert not may("viewer", "member")
    assert not may("member", "admin")
