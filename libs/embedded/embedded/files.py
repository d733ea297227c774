"""Files of the data directory: private, whole or absent, and of one platform at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import AlreadyRunning, StartError, WrongOwner

LOCK = "platform.lock"


def write_atomically(path: Path, content: str, mode: int) -> None:
    """Writes `path` so that a reader, or a start after a power cut, finds the old content or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def make_private(path: Path) -> Path:
    """Creates the directory for its owner alone, unless it exists."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def make_data_dir(path: Path) -> None:
    """Creates the data directory for its owner, unless it exists."""
    # Root opens the way for the user that Postgres runs as; all that matters inside has its own mode.
    path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Holds the data directory, made if need be, for this process alone.

    Raises AlreadyRunning when another process holds it, WrongOwner when another user made it.
    """
    try:
        make_data_dir(data_dir)
        lock = data_dir / LOCK
        _check_owner(lock)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"cannot use {data_dir}: {error.strerror}. Set PLATFORM_DATA_DIR to another place.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            raise AlreadyRunning(
                f"a platform already runs on {data_dir} (process {holder}). "
                "Stop it first, or set PLATFORM_DATA_DIR to another place."
            ) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _check_owner(lock: Path) -> None:
    if lock.exists() and (owner := lock.stat().st_uid) != os.geteuid():
        raise WrongOwner(
            f"{lock.parent} belongs to user id {owner} and you are {os.geteuid()}. Run as the user who made it, "
            "or set PLATFORM_DATA_DIR to another place."
        )
