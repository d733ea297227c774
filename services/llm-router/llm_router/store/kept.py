"""Completions that are kept under an idempotency key, and who is making one at the moment."""

from dataclasses import dataclass
from uuid import UUID

from common.database import Connection


@dataclass(frozen=True)
class Kept:
    """What is known of a key. `reply` is the JSON of the finished completion, None while it is being made."""

    fingerprint: bytes
    reply: bytes | None


async def claim(
    connection: Connection,
    principal: str,
    key: str,
    fingerprint: bytes,
    holder: UUID,
    *,
    lease: float,
    keep: float,
) -> bool:
    """Whether `holder` may make the completion: nobody has it, nor makes it. Durations in seconds.

    While the database is away, nobody can renew a lease or keep what is made: after its start it gives everybody the
    time of a lease to do so.
    """
    row = await connection.fetchrow(
        "INSERT INTO kept_completions AS kept (principal, key, fingerprint, holder, held_until, expires_at)"
        " VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5),"
        " clock_timestamp() + make_interval(secs => $6))"
        " ON CONFLICT (principal, key) DO UPDATE SET fingerprint = excluded.fingerprint, reply = NULL,"
        " holder = excluded.holder, held_until = excluded.held_until, expires_at = excluded.expires_at"
        " WHERE kept.expires_at < clock_timestamp() OR (kept.reply IS NULL AND kept.held_until < clock_timestamp()"
        " AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $5))"
        " RETURNING true",
        principal,
        key,
        fingerprint,
        holder,
        lease,
        keep,
    )
    return row is not None


async def find(connection: Connection, principal: str, key: str) -> Kept | None:
    row = await connection.fetchrow(
        "SELECT fingerprint, reply FROM kept_completions WHERE principal = $1 AND key = $2", principal, key
    )
    return Kept(row["fingerprint"], row["reply"]) if row is not None else None


async def renew(connection: Connection, principal: str, key: str, holder: UUID, *, lease: float) -> None:
    await connection.execute(
        "UPDATE kept_completions SET held_until = clock_timestamp() + make_interval(secs => $4)"
        " WHERE principal = $1 AND key = $2 AND holder = $3",
        principal,
        key,
        holder,
        lease,
    )


async def keep(connection: Connection, principal: str, key: str, holder: UUID, reply: bytes) -> None:
    await connection.execute(
        "UPDATE kept_completions SET reply = $4 WHERE principal = $1 AND key = $2 AND holder = $3",
        principal,
        key,
        holder,
        reply,
    )


async def abandon(connection: Connection, principal: str, key: str, holder: UUID) -> None:
    """Lets others make it, or ask something else with the key."""
    await connection.execute(
        "DELETE FROM kept_completions WHERE principal = $1 AND key = $2 AND holder = $3 AND reply IS NULL",
        principal,
        key,
        holder,
    )


async def forget_expired(connection: Connection) -> None:
    await connection.execute("DELETE FROM kept_completions WHERE expires_at < clock_timestamp()")
