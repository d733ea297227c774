"""Passwords and the administrator's key."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from embedded.errors import StartError
from embedded.secrets import ADMIN_KEY_FILE, ADMIN_PASSWORD_FILE, SECRETS_FILE, AdminKey, AdminPassword, Secrets

USERS = [("nats", "gateway"), ("s3", "gateway")]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_passwords_are_made_once_and_kept_for_the_owner_alone(tmp_path: Path):
    made = Secrets.load(tmp_path, USERS)
    assert made.password("nats", "gateway") != made.password("s3", "gateway")
    assert Secrets.load(tmp_path, USERS) == made
    assert mode(tmp_path / SECRETS_FILE) == 0o600


def test_a_new_user_gets_a_password_and_the_others_keep_theirs(tmp_path: Path):
    old = Secrets.load(tmp_path, USERS)
    new = Secrets.load(tmp_path, [*USERS, ("nats", "trainer")])
    assert new.password("nats", "trainer")
    assert new.password("nats", "gateway") == old.password("nats", "gateway")
    assert new.encryption_key == old.encryption_key


def test_passwords_do_not_show_when_printed(tmp_path: Path):
    secrets = Secrets.load(tmp_path, USERS)
    assert secrets.password("nats", "gateway") not in repr(secrets)
    assert secrets.encryption_key not in repr(secrets)


def test_a_damaged_file_is_not_replaced(tmp_path: Path):
    (tmp_path / SECRETS_FILE).write_text("{")
    with pytest.raises(StartError, match="damaged"):
        Secrets.load(tmp_path, USERS)
    assert (tmp_path / SECRETS_FILE).read_text() == "{"


def test_an_administrators_key_is_made_once_and_kept_for_the_owner_alone(tmp_path: Path):
    key = AdminKey.load(tmp_path, None)
    assert key.value.startswith("sk-")
    assert AdminKey.load(tmp_path, None) == key
    assert mode(tmp_path / ADMIN_KEY_FILE) == 0o600
    assert key.value not in repr(key)


def test_the_first_user_s_password_is_made_once_and_kept_for_the_owner_alone(tmp_path: Path):
    password = AdminPassword.load(tmp_path, None)
    assert len(password.value) >= 12
    assert AdminPassword.load(tmp_path, None) == password
    assert mode(tmp_path / ADMIN_PASSWORD_FILE) == 0o600
    assert password.value not in repr(password)
    assert AdminPassword.load(tmp_path, SecretStr("chosen by a person")).value == "chosen by a person"
    assert (tmp_path / ADMIN_PASSWORD_FILE).read_text().strip() == password.value


def test_a_chosen_key_is_not_written_down(tmp_path: Path):
    key = AdminKey.load(tmp_path, SecretStr("chosen-by-a-person"))
    assert key.value == "chosen-by-a-person"
    assert list(tmp_path.iterdir()) == []
