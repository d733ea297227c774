"""What the adversary is let loose on: NATS, Postgres and several replicas of each service that workflows go through.

All are processes under the platform's own supervisor, which starts again what dies. Postgres and NATS sync to disk, as
they do outside tests: what they have acknowledged must survive their death.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from common.provision import provision_streams
from embedded.endpoints import Endpoints, ServiceAccess
from embedded.files import make_private
from embedded.log import Log, parse_json
from embedded.nats import nats_command
from embedded.ports import PortRequest, choose
from embedded.postgres import postgres_command, provision_postgres
from embedded.probe import answers
from embedded.process import Command
from embedded.servers import PORTS_FILE, Servers
from embedded.supervisor import Stage, Supervisor
from tests.chaos.plan import Fleet

ADMIN_KEY = "chaos-administrator-key"
LOG_FILE = "house.log"
LEASE_SECONDS = 2.0

_HURRY: Mapping[str, str] = {
    "PLATFORM_ADMIN_KEY": ADMIN_KEY,
    "PLATFORM_USER_REQUESTS_PER_MINUTE": "0",
    # What takes tens of seconds in production takes seconds here, so that every limit is passed many times.
    "PLATFORM_LEASE_SECONDS": str(LEASE_SECONDS),
    "PLATFORM_CANCEL_GRACE_SECONDS": "2",
    "PLATFORM_RETRY_BASE_SECONDS": "0.2",
    "PLATFORM_RETRY_CAP_SECONDS": "2",
    "PLATFORM_HINT_PAUSE_SECONDS": "1",
    "PLATFORM_REAP_INTERVAL_SECONDS": "0.2",
    "PLATFORM_IDEMPOTENCY_LEASE_SECONDS": "3",
    "PLATFORM_ENGINE_CHECK_INTERVAL": "1",
    "PLATFORM_BREAKER_COOLDOWN": "1",
    "PLATFORM_HEARTBEAT_SECONDS": "2",
}
_START_SECONDS = 120.0
_POLL_SECONDS = 0.1
_SERVERS = ("nats", "postgres")


class House:
    """Used as a context. Its methods block, for moments but where they say so."""

    def __init__(self, directory: Path, fleet: Fleet) -> None:
        self.directory = directory.resolve()
        self.fleet = fleet
        self._services = {
            name: service for service in ("orchestrator", "llm_router", "gateway") for name in fleet.names(service)
        }

    def __enter__(self) -> Self:
        make_private(self.directory)
        self._stream = (self.directory / LOG_FILE).open("a")
        self.supervisor = Supervisor(Log(self._stream, colour=False))
        names = ("nats", "nats_monitor", "postgres", "s3", *self._services, *map(_public, self.fleet.names("gateway")))
        self._ports = choose([PortRequest(name) for name in names], self.directory / PORTS_FILE)
        self._servers = Servers.of(self.directory, self._ports, fsync=True)
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.continue_all()
        self.supervisor.request_stop()
        # Nobody waits for what a caller might still want to hear.
        self.supervisor.hurry.set()
        self.supervisor.stop()
        self._stream.close()

    @property
    def endpoints(self) -> Endpoints:
        return self._servers.endpoints

    @property
    def administrator(self) -> ServiceAccess:
        return self.endpoints.administrator

    @property
    def gateways(self) -> list[str]:
        """The URL of each gateway."""
        return [f"http://127.0.0.1:{self._ports[_public(name)]}" for name in self.fleet.names("gateway")]

    @property
    def log_lines(self) -> list[str]:
        return (self.directory / LOG_FILE).read_text(errors="replace").splitlines()

    @property
    def names(self) -> list[str]:
        """Of all processes."""
        return [*_SERVERS, *self._services]

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Sends the process a signal; its id, None where it is not running at the moment."""
        pid = self.supervisor.processes[name].pid
        if pid is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return pid
        return None

    def stop(self, name: str) -> list[int]:
        """Stops the process with all its children, until `go_on` is given their ids."""
        pid = self.supervisor.processes[name].pid
        stopped: list[int] = []
        with suppress(psutil.NoSuchProcess):
            for process in [] if pid is None else [psutil.Process(pid), *psutil.Process(pid).children()]:
                process.suspend()
                stopped.append(process.pid)
        return stopped

    def go_on(self, pids: list[int]) -> None:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def continue_all(self) -> None:
        """Nothing is stopped any more."""
        for process in self.supervisor.processes.values():
            if process.pid is not None:
                with suppress(psutil.NoSuchProcess):
                    self.go_on([child.pid for child in psutil.Process(process.pid).children()])
                self.go_on([process.pid])

    def wait_ready(self, name: str, *, not_pid: int | None = None, timeout: float = _START_SECONDS) -> None:
        """Blocks until the process, another than `not_pid`, is ready. Raises TimeoutError."""
        process = self.supervisor.processes[name]
        deadline = time.monotonic() + timeout
        while process.pid in {None, not_pid} or not process.command.ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} was not ready within {timeout:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _start(self) -> None:
        supervisor, secrets = self.supervisor, self._servers.secrets
        supervisor.launch(Stage.SERVERS, nats_command(self.directory / "nats", self._ports, secrets, fsync=True))
        supervisor.launch(
            Stage.SERVERS, postgres_command(self.directory / "postgres", self._ports, secrets, fsync=True)
        )
        supervisor.wait_ready(_START_SECONDS, *_SERVERS)
        self._provision()
        stages = {"gateway": Stage.GATEWAY}
        for name, service in self._services.items():
            supervisor.launch(stages.get(service, Stage.SERVICES), self._command(name, service))
        supervisor.wait_ready(_START_SECONDS)

    def _provision(self) -> None:
        administrator = self.administrator
        asyncio.run(provision_streams(administrator.nats_url, administrator.nats_user, administrator.nats_password))
        asyncio.run(provision_postgres(self.endpoints, self._servers.secrets))

    def _command(self, name: str, service: str) -> Command:
        port = self._ports[name]
        own = {"PLATFORM_ADMIN_PORT": str(port), "PLATFORM_DATA_DIR": str(self.directory / name)}
        if service == "gateway":
            own["PLATFORM_PORT"] = str(self._ports[_public(name)])
        if service == "llm_router":
            own["PLATFORM_SECRET_KEY"] = self._servers.secrets.encryption_key
        return Command(
            name=name,
            arguments=(sys.executable, "-m", f"{service}.main"),
            environment={**os.environ, **self.endpoints[service].environment(), **_HURRY, **own},
            ready=partial(answers, port, "/readyz"),
            parse=parse_json,
            grace=1.0,
        )


def _public(gateway: str) -> str:
    """The name of the port at which callers reach a gateway."""
    return f"{gateway}-http"
