"""Tickets: what a page shows in the address of a stream, where it can show neither a key nor a cookie."""

from common.context import Principal
from common.database import Database
from contracts.base import RefusalCode, Refused
from gateway.domain.run_events import digest, new_ticket
from gateway.store import tickets as store


class Tickets:
    """Each opens one stream, within `seconds` of being issued, at whichever process of the gateway."""

    def __init__(self, database: Database, seconds: int) -> None:
        self._database = database
        self.seconds = seconds

    async def issue(self, principal: Principal) -> str:
        """A ticket that stands for `principal`. Raises `Refused` when the database is away."""
        ticket = new_ticket()
        async with self._database.connection() as connection:
            await store.add(
                connection, digest(ticket), principal.model_dump(mode="json", exclude_defaults=True), self.seconds
            )
        return ticket

    async def redeem(self, ticket: str) -> Principal:
        """Who it stands for; it is used up by this. Raises `Refused(UNAUTHENTICATED)` for one that is not valid."""
        async with self._database.connection() as connection:
            found = await store.take(connection, digest(ticket))
        if found is None:
            raise Refused(RefusalCode.UNAUTHENTICATED, "The ticket is not valid: it may have been used, or be too old")
        return Principal.model_validate(found)
