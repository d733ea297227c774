"""Tickets: entered, and used once by whichever process is shown them first."""

from typing import Any

from common.database import Connection


async def add(connection: Connection, digest: bytes, principal: dict[str, Any], seconds: float) -> None:
    """Also forgets those that nobody used in time."""
    await connection.execute("DELETE FROM tickets WHERE ends_at < clock_timestamp()")
    await connection.execute(
        "INSERT INTO tickets (digest, principal, ends_at)"
        " VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))",
        digest,
        principal,
        seconds,
    )


async def take(connection: Connection, digest: bytes) -> dict[str, Any] | None:
    """Who the ticket is for, which nobody else can use now; None when it is none, was used, or is too old."""
    found: dict[str, Any] | None = await connection.fetchval(
        "DELETE FROM tickets WHERE digest = $1 AND ends_at > clock_timestamp() RETURNING principal", digest
    )
    return found
