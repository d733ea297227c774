"""Who shows a session's cookie: remembered for some seconds, since each request of a page asks."""

import time
from dataclasses import dataclass

from common.bus import Bus
from common.database import Database
from contracts.gateway import PERSON_CHANGED
from gateway.domain.people import Session, digest
from gateway.store import people as store

_REMEMBERED_SECONDS = 30.0
"""Far less than the longest idle time, which is counted from when the database saw a session last."""
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class _Seen:
    session: Session
    until: float


class Sessions:
    """Finds sessions. What ends one elsewhere is heard within moments, and seen within the time it is remembered."""

    def __init__(self, database: Database, bus: Bus, idle_seconds: float) -> None:
        self._database = database
        self._bus = bus
        self._idle_seconds = idle_seconds
        self._seen: dict[bytes, _Seen] = {}
        self._changes = 0

    async def find(self, token: str) -> Session | None:
        """The session of the cookie `token`. Raises `Refused` when the database is away and it is not remembered."""
        named = digest(token)
        seen = self._seen.get(named)
        if seen is not None and time.monotonic() < seen.until:
            return seen.session
        changes = self._changes
        async with self._database.connection() as connection:
            session = await store.see_session(connection, named, self._idle_seconds)
        if session is None:
            self._seen.pop(named, None)
            return None
        # What changed while the database was asked may have ended this very session: it is asked again next time.
        if changes == self._changes:
            self._remember(named, session)
        return session

    def _remember(self, named: bytes, session: Session) -> None:
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.clear()
        seconds = min(_REMEMBERED_SECONDS, self._idle_seconds / 4, session.seconds_left)
        self._seen[named] = _Seen(session, time.monotonic() + seconds)

    def forget(self, user_id: str) -> None:
        """Looks at the user's sessions afresh."""
        self._changes += 1
        self._seen = {named: seen for named, seen in self._seen.items() if seen.session.user.user_id != user_id}

    async def follow_changes(self) -> None:
        """Forgets users who changed or logged out at another process, until cancelled."""
        async for delivered in self._bus.follow(PERSON_CHANGED):
            self.forget(delivered.body.user_id)
