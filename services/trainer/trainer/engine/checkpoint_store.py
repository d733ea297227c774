"""Checkpoints in the object store: whole or not there, so that a broken upload is never resumed from."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused

_KEPT = 2
_MANIFEST = "manifest.json"
_STEP = re.compile(r"/step-(\d+)/manifest\.json$")


class S3CheckpointStore:
    """A `CheckpointStore` below one prefix: `step-<n>/` with the files and, written last, `manifest.json`.

    The manifest names every file with its size in bytes. The last two checkpoints are kept. While there is none,
    those below `earlier` are there to go on from.
    """

    def __init__(self, objects: Objects, prefix: S3Path, earlier: S3Path | None = None) -> None:
        self._objects = objects
        self._prefix = prefix
        self._earlier = earlier

    def save(self, step: int, directory: Path) -> None:
        place = self._place(step)
        # An earlier attempt may have left this step half-written or with other files.
        self._remove(step)
        self._objects.put_directory(place, directory)
        files = {
            file.relative_to(directory).as_posix(): file.stat().st_size
            for file in sorted(directory.rglob("*"))
            if file.is_file()
        }
        self._objects.put_bytes(place / _MANIFEST, json.dumps({"step": step, "files": files}).encode())
        there = self._steps()
        # Those beyond are of a run that could not be gone on from, or this one would be beyond as well.
        for needless in [*(other for other in there if other > step), *there[: there.index(step) + 1][:-_KEPT]]:
            self._remove(needless)

    def latest(self, into: Path) -> int | None:
        found = self._latest(into)
        if found is not None or self._earlier is None:
            return found
        try:
            return S3CheckpointStore(self._objects, self._earlier).latest(into)
        except Refused as refused:
            if refused.code is RefusalCode.NOT_FOUND:
                # Another job that went on from there is done, and has removed them.
                return None
            raise

    def _latest(self, into: Path) -> int | None:
        for step in reversed(self._steps()):
            place = self._place(step)
            manifest = json.loads(self._objects.get_bytes(place / _MANIFEST))
            if self._is_whole(place, manifest["files"]):
                for name in manifest["files"]:
                    self._objects.get_file(place / name, into / name)
                return step
        return None

    def _place(self, step: int) -> S3Path:
        return self._prefix / f"step-{step}"

    def _steps(self) -> list[int]:
        """The steps that have a manifest, oldest first."""
        found = (_STEP.search(info.path.key) for info in self._objects.list(self._prefix / ""))
        return sorted(int(match[1]) for match in found if match)

    def _is_whole(self, place: S3Path, files: Mapping[str, int]) -> bool:
        there = {info.path.key: info.size for info in self._objects.list(place / "")}
        return all(there.get((place / name).key) == size for name, size in files.items())

    def _remove(self, step: int) -> None:
        # The manifest goes first: without it the rest is not a checkpoint any more.
        place = self._place(step)
        self._objects.remove(place / _MANIFEST)
        self._objects.remove_prefix(place / "")
