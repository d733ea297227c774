"""Passwords between the parts of the platform: made once, kept in the data directory for its owner alone."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from embedded.errors import StartError
from embedded.files import write_atomically

SECRETS_FILE = "secrets.json"
ADMIN_KEY_FILE = "admin.key"
ADMIN_PASSWORD_FILE = "admin.password"  # noqa: S105 - the name of a file


class Secrets(BaseModel):
    """Passwords by `<server>/<user>`, and the key that provider tokens are encrypted with."""

    model_config = ConfigDict(frozen=True)

    encryption_key: str = Field(default_factory=lambda: Fernet.generate_key().decode(), repr=False)
    passwords: dict[str, str] = Field(default={}, repr=False)

    def password(self, server: str, user: str) -> str:
        return self.passwords[f"{server}/{user}"]

    @classmethod
    def load(cls, data_dir: Path, users: Iterable[tuple[str, str]]) -> "Secrets":
        """Reads the file, adding what it lacks for `users` (server and user). Raises StartError if it is broken."""
        path = data_dir / SECRETS_FILE
        try:
            kept = cls.model_validate_json(path.read_bytes()) if path.exists() else None
        except ValidationError as error:
            raise StartError(f"{path} is damaged. Restore it: the data needs the passwords in it.") from error
        passwords = {f"{server}/{user}": secrets.token_urlsafe(24) for server, user in users}
        wanted = (kept or cls()).model_copy(update={"passwords": passwords | (kept.passwords if kept else {})})
        if wanted != kept:
            write_atomically(path, wanted.model_dump_json(indent=2), mode=0o600)
        return wanted


@dataclass(frozen=True)
class AdminKey:
    """The first administrator's key. `shell` is how a command line gets it, `place` tells a person where it is."""

    value: str = field(repr=False)
    shell: str
    place: str

    @classmethod
    def load(cls, data_dir: Path, chosen: SecretStr | None) -> "AdminKey":
        """The chosen key, which is not written down, or the one in the data directory, made if need be."""
        if chosen is not None:
            return cls(chosen.get_secret_value(), "$PLATFORM_ADMIN_KEY", "as you set it in PLATFORM_ADMIN_KEY")
        path = data_dir / ADMIN_KEY_FILE
        return cls(_kept(path, lambda: f"sk-{secrets.token_urlsafe(32)}"), f"$(cat {path})", f"{path} (mode 600)")


@dataclass(frozen=True)
class AdminPassword:
    """What the first user, `admin`, logs in with until it is changed. `place` tells a person where it is."""

    value: str = field(repr=False)
    place: str

    @classmethod
    def load(cls, data_dir: Path, chosen: SecretStr | None) -> "AdminPassword":
        """The chosen password, which is not written down, or the one in the data directory, made if need be."""
        if chosen is not None:
            return cls(chosen.get_secret_value(), "as you set it in PLATFORM_ADMIN_PASSWORD")
        path = data_dir / ADMIN_PASSWORD_FILE
        return cls(_kept(path, lambda: secrets.token_urlsafe(16)), f"in {path} (mode 600)")


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_atomically(path, f"{make()}\n", mode=0o600)
    return path.read_text().strip()
