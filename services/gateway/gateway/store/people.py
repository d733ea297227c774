"""Users and their sessions."""

import uuid
from datetime import datetime

from common import outbox
from common.database import Connection, Record
from contracts.gateway import PERSON_CHANGED, PersonChanged
from gateway.domain.people import NewUser, Session, User

_USER = "user_id, name, role, disabled, created_at, updated_at"


async def add_user(connection: Connection, user_id: str, new: NewUser, password: str) -> User:
    """Raises `UniqueViolation` when the name is taken."""
    row = await connection.fetchrow(
        f"INSERT INTO users (user_id, name, password, role) VALUES ($1, $2, $3, $4) RETURNING {_USER}",  # noqa: S608
        user_id,
        new.name,
        password,
        new.role,
    )
    assert row is not None  # noqa: S101 - an insert that returns
    return _user(row)


async def has_users(connection: Connection) -> bool:
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM users)")
    return found


async def add_first_user(connection: Connection, user_id: str, new: NewUser, password: str) -> bool:
    """Adds the user where there is none, also when several processes do so at once; whether it was added."""
    done = await connection.execute(
        "INSERT INTO users (user_id, name, password, role) SELECT $1, $2, $3, $4"
        " WHERE NOT EXISTS (SELECT FROM users) ON CONFLICT DO NOTHING",
        user_id,
        new.name,
        password,
        new.role,
    )
    return bool(done == "INSERT 0 1")


async def get_user(connection: Connection, user_id: str, *, lock: bool = False) -> User | None:
    query = f"SELECT {_USER} FROM users WHERE user_id = $1{' FOR UPDATE' if lock else ''}"  # noqa: S608
    row = await connection.fetchrow(query, user_id)
    return None if row is None else _user(row)


async def list_users(connection: Connection, limit: int, offset: int) -> tuple[list[User], int]:
    """A page of users by name, and how many there are in all."""
    query = f"SELECT {_USER} FROM users ORDER BY lower(name) LIMIT $1 OFFSET $2"  # noqa: S608
    rows = await connection.fetch(query, limit, offset)
    return [_user(row) for row in rows], await connection.fetchval("SELECT count(*) FROM users")


async def change_user(connection: Connection, user: User, password: str | None) -> User:
    """Writes name, role and whether the user is disabled; the password where there is a new one."""
    row = await connection.fetchrow(
        "UPDATE users SET name = $2, role = $3, disabled = $4, password = coalesce($5, password),"  # noqa: S608
        f" updated_at = clock_timestamp() WHERE user_id = $1 RETURNING {_USER}",
        user.user_id,
        user.name,
        user.role,
        user.disabled,
        password,
    )
    assert row is not None  # noqa: S101 - it is locked
    await _tell_change(connection, user.user_id)
    return _user(row)


async def remove_user(connection: Connection, user_id: str) -> User | None:
    row = await connection.fetchrow(f"DELETE FROM users WHERE user_id = $1 RETURNING {_USER}", user_id)  # noqa: S608
    if row is None:
        return None
    await _tell_change(connection, user_id)
    return _user(row)


async def find_password(connection: Connection, name: str) -> tuple[User, str] | None:
    """The user of that name, in whatever case, and the hash of the password."""
    query = f"SELECT {_USER}, password FROM users WHERE lower(name) = lower($1)"  # noqa: S608
    row = await connection.fetchrow(query, name)
    return None if row is None else (_user(row), row["password"])


async def renew_hash(connection: Connection, user_id: str, kept: str, renewed: str) -> bool:
    """Keeps the same password under better parameters; False when it is another password by now."""
    query = "UPDATE users SET password = $3 WHERE user_id = $1 AND password = $2"
    done: str = await connection.execute(query, user_id, kept, renewed)
    return done == "UPDATE 1"


async def replace_password(connection: Connection, user_id: str, kept: str, password: str) -> User | None:
    """Puts another in the place of the password whose hash is `kept`; None when that is not the user's any more."""
    row = await connection.fetchrow(
        "UPDATE users SET password = $3, updated_at = clock_timestamp()"  # noqa: S608
        f" WHERE user_id = $1 AND password = $2 AND NOT disabled RETURNING {_USER}",
        user_id,
        kept,
        password,
    )
    if row is None:
        return None
    await _tell_change(connection, user_id)
    return _user(row)


# Sessions


async def begin_session(
    connection: Connection, digest: bytes, user_id: str, kept: str, cap_seconds: float
) -> datetime | None:
    """Begins a session and forgets those that are over; when it ends at the latest.

    None when `kept` is not the hash of the user's password any more: what ended all sessions meanwhile also ends this.
    """
    await connection.execute("DELETE FROM sessions WHERE ends_at < clock_timestamp()")
    # The lock waits for whoever changes the user now, and then looks again.
    query = "SELECT FROM users WHERE user_id = $1 AND password = $2 AND NOT disabled FOR SHARE"
    if await connection.fetchrow(query, user_id, kept) is None:
        return None
    ends_at: datetime = await connection.fetchval(
        "INSERT INTO sessions (digest, user_id, ends_at)"
        " VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3)) RETURNING ends_at",
        digest,
        user_id,
        cap_seconds,
    )
    return ends_at


async def see_session(connection: Connection, digest: bytes, idle_seconds: float) -> Session | None:
    """The session, which is kept alive by it; None when it is over, or its user may not log in."""
    row = await connection.fetchrow(
        "UPDATE sessions SET seen_at = clock_timestamp() FROM users"
        " WHERE digest = $1 AND users.user_id = sessions.user_id AND NOT disabled AND ends_at > clock_timestamp()"
        " AND seen_at > clock_timestamp() - make_interval(secs => $2)"
        " RETURNING users.user_id, name, role, disabled, users.created_at, updated_at,"
        " extract(epoch FROM ends_at - clock_timestamp())::float8 AS seconds_left",
        digest,
        idle_seconds,
    )
    return None if row is None else Session(digest, _user(row), row["seconds_left"])


async def end_session(connection: Connection, digest: bytes) -> int:
    """How many ended: one, or none."""
    user_id = await connection.fetchval("DELETE FROM sessions WHERE digest = $1 RETURNING user_id", digest)
    if user_id is None:
        return 0
    await _tell_change(connection, user_id)
    return 1


async def end_sessions(connection: Connection, user_id: str, *, but: bytes = b"") -> int:
    """Ends all sessions of the user, but for one perhaps; how many."""
    query = "DELETE FROM sessions WHERE user_id = $1 AND digest <> $2 RETURNING 1"
    ended = await connection.fetch(query, user_id, but)
    await _tell_change(connection, user_id)
    return len(ended)


async def _tell_change(connection: Connection, user_id: str) -> None:
    body = PersonChanged(user_id=user_id)
    await outbox.add(connection, PERSON_CHANGED, body, message_id=f"person-{uuid.uuid4().hex}")


def _user(row: Record) -> User:
    return User.model_validate({name: row[name] for name in User.model_fields})
