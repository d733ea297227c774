"""The Postgres server of this machine: one database, and a role per service that sees its own schema alone."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from common.provision import provision_roles
from embedded.endpoints import ADMINISTRATOR, SERVICES, Endpoints
from embedded.errors import StartError
from embedded.files import make_private
from embedded.identity import Identity, unprivileged
from embedded.log import parse_postgres
from embedded.process import Command
from embedded.programs import postgres_programs
from embedded.secrets import Secrets
from embedded.tether import tethered

_DURABILITY_OFF = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=128MB",
    "log_line_prefix=",
    "timezone=UTC",
)
_CLUSTER_OPTIONS = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
)
_DRAFT = "initdb-"


def postgres_command(directory: Path, ports: Mapping[str, int], secrets: Secrets, *, fsync: bool) -> Command:
    """Makes the database cluster below `directory` on the first call, and says how to run it.

    Raises StartError when it cannot be made.
    """
    programs = postgres_programs()
    identity = unprivileged(programs / "postgres", directory)
    make_private(directory)
    if identity is not None:
        identity.take_over(directory)
    data = directory / "data"
    if not data.exists():
        _create_cluster(programs, directory, identity, secrets.password("postgres", ADMINISTRATOR))
    port = str(ports["postgres"])
    settings = [f"port={port}", *_SETTINGS, *(() if fsync else _DURABILITY_OFF)]
    is_ready = [str(programs / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--timeout=1", "--quiet"]
    return Command(
        name="postgres",
        arguments=(
            str(programs / "postgres"),
            "-D",
            str(data.resolve()),
            *(part for setting in settings for part in ("-c", setting)),
        ),
        environment=_environment(),
        directory=directory,
        ready=lambda: subprocess.run(is_ready, env=_environment(), check=False).returncode == 0,
        parse=parse_postgres,
        # SIGINT ends sessions and writes a checkpoint; SIGQUIT, for when we are gone, ends all at once.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        identity=identity,
        before_start=lambda: _drop_stale_lock(data),
    )


async def provision_postgres(endpoints: Endpoints, secrets: Secrets) -> None:
    """Creates what is missing: the database, and each service's role and schema. Safe to repeat."""
    passwords = {service: secrets.password("postgres", service) for service in SERVICES}
    try:
        await provision_roles(endpoints.administrator.database_url, passwords)
    except asyncpg.InvalidPasswordError as error:
        raise StartError("Postgres does not know the password in secrets.json: they are of different making") from error


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _create_cluster(programs: Path, directory: Path, identity: Identity | None, password: str) -> None:
    """Makes the cluster aside and moves it into place whole, so an interrupted start leaves none that is half made."""
    for leftover in directory.glob(f"{_DRAFT}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=directory) as draft:
        password_file = Path(draft) / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        if identity is not None:
            identity.take_over(Path(draft))
            identity.take_over(password_file)
        initdb = [
            str(programs / "initdb"),
            f"--pgdata={Path(draft).resolve() / 'data'}",
            f"--username={ADMINISTRATOR}",
            f"--pwfile={password_file.resolve()}",
            *_CLUSTER_OPTIONS,
        ]
        made = subprocess.run(
            tethered(initdb, identity=identity),
            env=_environment(),
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise StartError(f"Postgres could not make its files below {directory}: {made.stderr or made.stdout}")
        (Path(draft) / "data").rename(directory / "data")


def _drop_stale_lock(data: Path) -> None:
    """Removes a lock file whose process id meanwhile belongs to another program.

    Postgres itself takes any live process of its user for a Postgres, and would never start again after a crash in a
    container, where process ids repeat.
    """
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    holder = Path("/proc") / lock.read_text().split("\n", 1)[0].strip() / "comm"
    if holder.exists() and holder.read_text().strip() != "postgres":
        lock.unlink()
