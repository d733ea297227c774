"""NATS, Postgres and S3 of one data directory: part of `make run`, and on their own what tests run against."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.provision import provision_streams
from embedded.endpoints import USERS, Endpoints
from embedded.files import exclusive
from embedded.log import Log
from embedded.nats import nats_command
from embedded.ports import PortRequest, choose
from embedded.postgres import postgres_command, provision_postgres
from embedded.s3 import PARTS, port_name, provision_s3, s3_command
from embedded.secrets import Secrets
from embedded.supervisor import Stage, Supervisor

PORTS_FILE = "ports.json"
_READY_SECONDS = 60.0


def port_requests(nats: int = 0, postgres: int = 0, s3: int = 0) -> list[PortRequest]:
    """The ports the servers need; 0 stands for a free one."""
    return [
        PortRequest("nats", nats, variable="PLATFORM_NATS_PORT"),
        PortRequest("nats_monitor"),
        PortRequest("postgres", postgres, variable="PLATFORM_POSTGRES_PORT"),
        *(
            PortRequest(port_name(part), s3 if part == "s3" else 0, variable="PLATFORM_S3_PORT", with_grpc=True)
            for part in PARTS
        ),
    ]


@dataclass(frozen=True)
class Servers:
    """The three servers of `data_dir` (absolute). Without `fsync` a crash of the machine may lose data."""

    data_dir: Path
    ports: Mapping[str, int]
    secrets: Secrets
    endpoints: Endpoints
    fsync: bool

    @classmethod
    def of(cls, data_dir: Path, ports: Mapping[str, int], *, fsync: bool) -> "Servers":
        secrets = Secrets.load(data_dir, USERS)
        return cls(data_dir, ports, secrets, Endpoints.of(ports, secrets), fsync)

    def launch(self, supervisor: Supervisor) -> None:
        """Starts them. Raises StartError when Postgres cannot make its files."""
        supervisor.launch(
            Stage.SERVERS,
            nats_command(self.data_dir / "nats", self.ports, self.secrets, fsync=self.fsync),
            s3_command(self.data_dir / "s3", self.ports, self.secrets),
        )
        # Last, since on the first start it makes its files before it returns.
        supervisor.launch(
            Stage.SERVERS,
            postgres_command(self.data_dir / "postgres", self.ports, self.secrets, fsync=self.fsync),
        )

    def provision(self, supervisor: Supervisor) -> None:
        """Waits until each is ready and creates there what is missing: streams, roles and schemas, buckets.

        Raises StartError when one does not become ready, StopRequested when a stop was requested meanwhile.
        """
        administrator = self.endpoints.administrator

        def when_ready(name: str, work: Callable[[], None]) -> None:
            supervisor.wait_ready(_READY_SECONDS, name)
            work()

        with ThreadPoolExecutor(max_workers=3) as pool:
            tasks = [
                pool.submit(
                    when_ready,
                    "nats",
                    lambda: asyncio.run(
                        provision_streams(administrator.nats_url, administrator.nats_user, administrator.nats_password)
                    ),
                ),
                pool.submit(
                    when_ready, "postgres", lambda: asyncio.run(provision_postgres(self.endpoints, self.secrets))
                ),
                pool.submit(when_ready, "s3", lambda: provision_s3(self.endpoints, self.ports, fsync=self.fsync)),
            ]
        for task in tasks:
            task.result()


@contextmanager
def start_servers(data_dir: Path, fsync: bool = False) -> Iterator[Endpoints]:
    """Runs the servers on free ports for the duration of the block; their log is `servers.log` in `data_dir`.

    Raises StartError when one does not start.
    """
    data_dir = data_dir.resolve()
    with exclusive(data_dir), (data_dir / "servers.log").open("a") as stream:
        supervisor = Supervisor(Log(stream, colour=False, debug=True))
        servers = Servers.of(data_dir, choose(port_requests(), data_dir / PORTS_FILE), fsync=fsync)
        try:
            servers.launch(supervisor)
            servers.provision(supervisor)
            yield servers.endpoints
        finally:
            supervisor.stop()
