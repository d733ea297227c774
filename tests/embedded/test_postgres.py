"""How the database cluster is made and found again."""

import os
import subprocess
from pathlib import Path

import pytest

from embedded.endpoints import USERS
from embedded.postgres import postgres_command
from embedded.process import Command
from embedded.secrets import Secrets


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "postgres"


@pytest.fixture(scope="module")
def command(directory: Path) -> Command:
    left_by_a_killed_start = directory / "initdb-half" / "data"
    left_by_a_killed_start.mkdir(parents=True)
    secrets = Secrets.load(directory.parent, USERS)
    return postgres_command(directory, {"postgres": 1}, secrets, fsync=True)


def test_the_cluster_is_made_whole_and_nothing_else_is_left(directory: Path, command: Command):
    assert [path.name for path in directory.iterdir()] == ["data"]
    assert (directory / "data" / "PG_VERSION").read_text() == "18\n"


def test_fsync_stays_on_unless_it_is_turned_off(directory: Path, command: Command):
    assert "fsync=off" not in command.arguments
    quick = postgres_command(directory, {"postgres": 1}, Secrets.load(directory.parent, USERS), fsync=False)
    assert "fsync=off" in quick.arguments


def test_a_lock_whose_process_id_went_to_another_program_is_dropped(directory: Path, command: Command):
    lock = directory / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{directory}/data\n")
    command.before_start()
    assert not lock.exists()


def test_a_lock_of_a_dead_process_is_left_to_postgres(directory: Path, command: Command):
    lock = directory / "data" / "postmaster.pid"
    with subprocess.Popen(["true"]) as ended:
        pass
    lock.write_text(f"{ended.pid}\n{directory}/data\n")
    command.before_start()
    assert lock.exists()
