"""Removes from the object store what belonged to deleted models and data sets.

What is to go is noted in the transaction that deletes, so it goes however often a process dies on the way; any number
of replicas may do it at once.
"""

from collections.abc import Collection
from dataclasses import dataclass

from common.bus import Bus
from common.database import Database
from common.telemetry import Counter, get_logger
from contracts.base import Refused
from contracts.orchestrator import FIND_PATHS_IN_USE, FindPathsInUse
from contracts.topology import ARTIFACTS_BUCKET
from registry.engine.storage import Storage
from registry.store import freeing, serving

_log = get_logger("freeing")
_FREED = Counter("registry_freed_bytes_total", "Bytes of the object store freed by deleting models")


@dataclass(frozen=True)
class Freed:
    """`size` bytes are free; `waits` says that the rest is left to a later sweep."""

    size: int
    waits: bool


class Freeing:
    """Shared by the handlers that delete and the sweeper that goes over what was left."""

    def __init__(self, database: Database, storage: Storage, bus: Bus) -> None:
        self._database = database
        self._storage = storage
        self._bus = bus

    async def free(self, paths: Collection[str]) -> Freed:
        """Removes what lies below the paths. What jobs that go on still read, since they reuse an earlier result, waits

        for their end. Raises `Refused`: STORAGE_FAILED when the store is away, UNAVAILABLE or TIMEOUT when nobody says
        what jobs read.
        """
        used = await self._used(paths)
        async with self._database.transaction() as connection:
            # In turn with registrations: one that has seen the files is refused until they are gone.
            await serving.wait_turn(connection)
            begun = await freeing.begin(connection, paths, used)
        size = 0
        for path in begun:
            size += await self._storage.remove_all(path)
            async with self._database.transaction() as connection:
                await serving.wait_turn(connection)
                await freeing.freed(connection, path)
            _log.info("path_freed", path=path)
        _FREED.inc(size)
        return Freed(size, waits=bool(used))

    async def free_waiting(self) -> None:
        """What earlier deletions left. Stops at the first failure; the next call goes on."""
        async with self._database.connection() as connection:
            paths = await freeing.waiting(connection)
        try:
            await self.free(paths)
        except Refused as refused:
            _log.warning("freeing_waits", paths=len(paths), error=refused.message)

    async def _used(self, paths: Collection[str]) -> list[str]:
        """Data sets are no job's: each has a copy of its own."""
        artifacts = [path for path in paths if path.startswith(f"s3://{ARTIFACTS_BUCKET}/")]
        if not artifacts:
            return []
        return (await self._bus.ask(FIND_PATHS_IN_USE, FindPathsInUse(paths=artifacts))).paths
