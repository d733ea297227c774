"""Whether this process may make anything of the silence of others: only where they could have been heard."""

import time
from collections.abc import Callable

from common.database import Connection


class Attention:
    """Says so while the database has answered this process without a break.

    While the database is away, or this process stands still, all leases end, also those of workers that live. Whoever
    looks first when it is back would take their steps from them. So after a break of more than half a `lease`
    (seconds) everybody is given a whole one to beat; after a shorter one every lease has time left.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._last = clock()
        self._broken_until = self._last

    def begin(self) -> None:
        """This process may have been the only one through which workers could beat: each is given a lease to do so."""
        self._last = self._clock()
        self._broken_until = self._last + self._lease

    async def is_whole(self, connection: Connection) -> bool:
        """Asks the database for a word, and says whether silence means anything now."""
        await connection.execute("SELECT 1")
        now = self._clock()
        if now - self._last > self._lease / 2:
            self._broken_until = now + self._lease
        self._last = now
        return now >= self._broken_until
