"""The data directory: of one platform at a time, of one user, with private files."""

import os
import stat
from pathlib import Path

import pytest

from embedded.errors import AlreadyRunning, StartError, WrongOwner
from embedded.files import LOCK, exclusive, write_atomically


def test_a_data_directory_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path):
    with (
        exclusive(tmp_path / "data"),
        pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"),
        exclusive(tmp_path / "data"),
    ):
        pass
    with exclusive(tmp_path / "data"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_a_data_directory_of_another_user_is_refused(tmp_path: Path):
    lock = tmp_path / LOCK
    lock.touch()
    os.chown(lock, 12345, 12345)
    with pytest.raises(WrongOwner, match="belongs to user id 12345"), exclusive(tmp_path):
        pass


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="Set PLATFORM_DATA_DIR"), exclusive(tmp_path / "file"):
        pass


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path):
    path = tmp_path / "secret"
    write_atomically(path, "one", mode=0o600)
    write_atomically(path, "two", mode=0o600)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
