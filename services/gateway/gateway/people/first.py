"""The first user: without one nobody could log in to a new platform, where only a key may make users."""

import uuid

from pydantic import SecretStr

from common.database import Database
from common.telemetry import get_logger
from gateway.domain.people import NewUser
from gateway.people.passwords import Passwords
from gateway.store import people as store

NAME = "admin"
_log = get_logger("people")


async def make_first_user(database: Database, passwords: Passwords, password: SecretStr) -> None:
    """Makes the administrator `admin` with that password where there are no users; an empty password makes nobody.

    Whoever is there stays as they are: a password that was changed since is not set back.
    """
    if not password.get_secret_value():
        return
    async with database.connection() as connection:
        if await store.has_users(connection):
            return
    new = NewUser(name=NAME, password=password.get_secret_value(), role="admin")
    hashed = await passwords.hash(new.password)
    async with database.transaction() as connection:
        made = await store.add_first_user(connection, f"user_{uuid.uuid4().hex[:12]}", new, hashed)
    if made:
        _log.info("first_user_made", name=NAME)
