"""Tokens at rest."""

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from contracts.base import RefusalCode, Refused
from llm_router.engine.tokens import TokenVault


def key() -> SecretStr:
    return SecretStr(Fernet.generate_key().decode())


def test_a_token_is_sealed_and_opened() -> None:
    vault = TokenVault(key())
    sealed = vault.seal("sk-1")
    assert b"sk-1" not in sealed
    assert vault.open(sealed, "e") == "sk-1"


def test_a_token_that_was_sealed_with_another_key_is_none() -> None:
    assert TokenVault(key()).open(TokenVault(key()).seal("sk-1"), "e") is None


def test_a_key_is_replaced_without_losing_a_token() -> None:
    old, new = key(), key()
    both = TokenVault(SecretStr(f"{new.get_secret_value()},{old.get_secret_value()}"))
    sealed = TokenVault(old).seal("sk-1")
    assert both.open(sealed, "e") == "sk-1"
    resealed = both.resealed(sealed)
    assert resealed is not None
    assert TokenVault(new).open(resealed, "e") == "sk-1"
    assert both.resealed(resealed) is None
    assert both.resealed(TokenVault(key()).seal("sk-2")) is None


def test_without_a_key_no_token_is_stored() -> None:
    for nothing in (None, SecretStr("")):
        with pytest.raises(Refused) as caught:
            TokenVault(nothing).seal("sk-1")
        assert caught.value.code is RefusalCode.INVALID
        assert "sk-1" not in str(caught.value.metadata)


def test_a_key_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValueError, match="Fernet"):
        TokenVault(SecretStr("short"))
