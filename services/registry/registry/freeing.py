"""Removes from the object store what belonged to deleted models.

What is to go is noted in the transaction that deletes a model, so it goes however often a process dies on the way; any
number of replicas may do it at once.
"""

from common.database import Database
from common.telemetry import Counter, get_logger
from contracts.base import Refused
from registry.engine.storage import Storage
from registry.store import freeing, serving

_log = get_logger("freeing")
_FREED = Counter("registry_freed_bytes_total", "Bytes of the object store freed by deleting models")


class Freeing:
    """Shared by the handler that deletes and the sweeper that goes over what was left."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    async def free(self, paths: list[str]) -> int:
        """Removes what lies below the paths; how many bytes that were. Raises `Refused(STORAGE_FAILED)`."""
        size = 0
        for path in paths:
            size += await self._storage.remove_all(path)
            async with self._database.transaction() as connection:
                # In turn with registrations: one that has seen the files is refused until they are gone.
                await serving.wait_turn(connection)
                await freeing.freed(connection, path)
            _log.info("path_freed", path=path)
        _FREED.inc(size)
        return size

    async def free_waiting(self) -> int:
        """What earlier deletions left. Stops at the first failure; the next call goes on."""
        async with self._database.connection() as connection:
            paths = await freeing.waiting(connection)
        try:
            return await self.free(paths)
        except Refused as refused:
            _log.warning("freeing_waits", paths=len(paths), error=refused.message)
            return 0
