"""Removes from the object store what belonged to deleted models, data sets and jobs.

What is to go is noted in the transaction that deletes, so it goes however often a process dies on the way; any number
of replicas may do it at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from common.bus import Bus
from common.database import Database
from common.objects import S3Path
from common.telemetry import Counter, get_logger
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import FIND_PATHS_IN_USE, FindPathsInUse
from contracts.topology import ARTIFACTS_BUCKET
from registry.domain.lineage import place_of
from registry.domain.models import without
from registry.engine.storage import Storage
from registry.store import closed_runs, freeing, serving

_log = get_logger("freeing")
_FEW = 10
"""Paths that are asked for at once: what jobs read is gone through for each question, and while paths are removed a job
may find one of those that are left, and reuse it."""
_MOST_FILES = 200
"""Of a run that are removed before somebody hears of it."""
_FREED = Counter("registry_freed_bytes_total", "Bytes of the object store freed by deleting models, data sets and jobs")


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

    async def free(self, paths: Sequence[str]) -> Freed:
        """Removes what lies below the paths. What jobs that go on still read, since they reuse an earlier result, waits
        for their end. Raises `Refused`: STORAGE_FAILED when the store is away, UNAVAILABLE or TIMEOUT when nobody says
        what jobs read.
        """
        freed = [await self._free_few(few) for few in _groups(paths)]
        return Freed(sum(few.size for few in freed), waits=any(few.waits for few in freed))

    async def free_waiting(self) -> None:
        """What earlier deletions left. Where it fails the rest waits for the next call; nobody's silence about some
        paths keeps the others."""
        async with self._database.connection() as connection:
            paths = await freeing.waiting(connection)
        for few in _groups(paths):
            try:
                await self._free_few(few)
            except Refused as refused:
                _log.warning("freeing_waits", paths=len(few), error=refused.message)
                if refused.code is not RefusalCode.TIMEOUT:
                    return

    async def free_run(self, run_id: str, kept: Sequence[str]) -> Freed:
        """Removes what a closed run left below its place, some at a time, but for what lies at the `kept` paths or
        below, and for what models have: no more of it can become theirs. Returns what is free by now, whoever removed
        it. Raises `Refused(STORAGE_FAILED)`."""
        place = place_of(run_id)
        files = await self._storage.files_below(place)
        there = sum(file.size for file in files)
        async with self._database.connection() as connection:
            needed = [*kept, *await closed_runs.owned_below(connection, place)]
            # Noted before anything goes: this process may die right after.
            most = await closed_runs.most(connection, run_id, there)
        needless = without(files, needed)
        some = needless[:_MOST_FILES]
        await self._storage.remove_files(some)
        # What a worker was storing when it died: whatever is needed of the run is whole.
        await self._storage.drop_unfinished(S3Path.parse(place) / "", datetime.now(UTC))
        size = sum(file.size for file in some)
        _FREED.inc(size)
        if some:
            _log.info("run_freed", path=place, files=len(some), size=size)
        return Freed(most - (there - size), waits=len(needless) > len(some))

    async def _free_few(self, paths: Sequence[str]) -> Freed:
        used = await self._used(paths)
        sizes = [await self._remove(path, used=path in used) for path in paths]
        return Freed(sum(size or 0 for size in sizes), waits=None in sizes)

    async def _used(self, paths: Sequence[str]) -> list[str]:
        """Data sets are no job's: each has a copy of its own."""
        artifacts = [path for path in paths if path.startswith(f"s3://{ARTIFACTS_BUCKET}/")]
        if not artifacts:
            return []
        return (await self._bus.ask(FIND_PATHS_IN_USE, FindPathsInUse(paths=artifacts))).paths

    async def _remove(self, path: str, *, used: bool) -> int | None:
        """How many bytes they were; None when they wait for jobs."""
        # Looked at first, so that a store that is away leaves the path as it is.
        files = await self._storage.files_of(path)
        async with self._database.transaction() as connection:
            # In turn with registrations: one that has seen the files is refused until they are gone.
            await serving.wait_turn(connection)
            begun = await freeing.begin(connection, path, files=len(files), used=used)
        if not begun:
            return None if begun is False else 0
        await self._storage.remove_files(files)
        async with self._database.transaction() as connection:
            await serving.wait_turn(connection)
            await freeing.freed(connection, path)
        size = sum(file.size for file in files)
        _FREED.inc(size)
        _log.info("path_freed", path=path)
        return size


def _groups(paths: Sequence[str]) -> list[Sequence[str]]:
    return [paths[start : start + _FEW] for start in range(0, len(paths), _FEW)]
