"""Scratch space on disk that belongs to one trainer process, and is emptied when its successor takes it over."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path


@contextmanager
def own_folder(root: Path) -> Iterator[Path]:
    """An empty folder below `root` that no other process uses while the block lasts.

    The first `worker-<n>` that is not locked: what a killed process left there is removed, and disks do not fill up.
    """
    root.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = root / f"worker-{number}"
        with (root / f"worker-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
