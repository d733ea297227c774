"""Removes uploads that were never entered, whose gateway died before it could register them or take them back, parts of
files that nobody put together, and what deleted models left; and keeps the losses of trainings before their logs go.

Any number of replicas may sweep: what they remove is the same, and removing it twice is fine. An upload is entered
within minutes of being stored or never, so none that is old enough can still become a data set.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from common.database import Database
from common.objects import S3Path
from common.telemetry import Counter, get_logger
from contracts.base import Refused
from contracts.topology import ARTIFACTS_BUCKET, DATASETS_BUCKET
from registry.curves import Curves
from registry.domain.uploads import UPLOAD_PREFIX, expired
from registry.engine.storage import Storage
from registry.freeing import Freeing
from registry.store import datasets

_log = get_logger("sweeper")
_REMOVED = Counter("registry_orphans_removed_total", "Uploads removed because no data set was made of them")
_IN_PARTS = (S3Path(DATASETS_BUCKET, UPLOAD_PREFIX), S3Path(ARTIFACTS_BUCKET, ""))
"""Where gateways and trainers store large files, of which those that are killed leave parts that nobody sees."""
_LONGEST_UPLOAD = timedelta(days=3)
"""Gateways keep an upload that can be resumed for a day, unless told otherwise."""


class Sweeper:
    """Works every `interval`, on uploads older than `age`."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        freeing: Freeing,
        curves: Curves,
        *,
        interval: timedelta,
        age: timedelta,
    ) -> None:
        self._database = database
        self._freeing = freeing
        self._curves = curves
        self._storage = storage
        self._interval = interval
        self._age = age

    async def run(self) -> None:
        """Sweeps until cancelled. A database or object store that is away is waited for."""
        while True:
            try:
                await self._freeing.free_waiting()
                await self.sweep()
                await self._curves.keep_all_waiting()
            except Refused as refused:
                _log.warning("sweeper_waits", error=refused.message)
            await asyncio.sleep(self._interval.total_seconds())

    async def sweep(self) -> int:
        """Looks once; how many uploads it removed."""
        old = expired(await self._storage.uploads(), datetime.now(UTC), self._age)
        async with self._database.connection() as connection:
            entered = await datasets.known(connection, {upload.dataset_id for upload in old})
        orphans = [upload for upload in old if upload.dataset_id not in entered]
        for orphan in orphans:
            await self._storage.remove(orphan)
            _REMOVED.inc()
            _log.info("orphan_removed", key=orphan.key)
        for place in _IN_PARTS:
            dropped = await self._storage.drop_unfinished(place, datetime.now(UTC) - _LONGEST_UPLOAD)
            if dropped:
                _log.info("unfinished_uploads_dropped", bucket=place.bucket, uploads=dropped)
        return len(orphans)
