"""The whole platform as a child process: `make demo` starts it when none runs; tests start, kill and stop it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.endpoints import SERVICES
from embedded.errors import StartError
from embedded.files import make_data_dir
from embedded.probe import answers
from embedded.running import Running
from embedded.secrets import ADMIN_KEY_FILE
from embedded.services import ENGINES, SIMULATED_ENGINES, admin_port_name
from embedded.tether import tethered
from embedded.vllm import VLLM

LOG_FILE = "platform.log"
FREE_PORTS: Mapping[str, str] = {
    "PLATFORM_PORT": "0",
    **{f"PLATFORM_{engine.process.upper()}_PORT": "0" for engine in SIMULATED_ENGINES},
}
"""Settings with which any number of platforms run beside each other on one machine."""
_POLL_SECONDS = 0.05


class Platform:
    """`python -m embedded run` on `data_dir`, with settings from `environment` on top of this process's own.

    Its log is `platform.log` in the data directory. It ends when the thread that called `start` does, at the latest.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str] = FREE_PORTS) -> None:
        self.data_dir = data_dir
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return self._running().url

    @property
    def admin_key(self) -> str:
        """The key of the first administrator."""
        chosen = self._environment.get("PLATFORM_ADMIN_KEY") or os.environ.get("PLATFORM_ADMIN_KEY")
        return chosen or (self.data_dir / ADMIN_KEY_FILE).read_text().strip()

    @property
    def log_text(self) -> str:
        """All that was logged so far, by every start on the data directory."""
        return (self.data_dir / LOG_FILE).read_text(errors="replace")

    def ports(self) -> Mapping[str, int]:
        """Every port by its name: `gateway`, `nats`, `registry_admin` and so on."""
        return self._running().ports

    def pid(self, name: str) -> int:
        """The process id of a service, engine or server. Raises KeyError while it is not running."""
        return self._running().pids[name]

    def start(self, timeout: float = 120.0) -> None:
        """Returns when all is ready. Raises StartError, with the end of the log, when that fails."""
        make_data_dir(self.data_dir)
        with (self.data_dir / LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                tethered([sys.executable, "-m", "embedded", "run"], death_signal=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment, "PLATFORM_DATA_DIR": str(self.data_dir)},
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StartError(f"the platform did not start:\n{self.log_text[-4000:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self, timeout: float = 60.0) -> int:
        """Stops all in order and returns the exit status. Raises subprocess.TimeoutExpired when that takes longer."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends the signal to a service, engine or server at once; returns the process id it had."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, timeout: float = 60.0) -> int:
        """Waits until the process has another id than `old_pid` and, unless it is a server, is ready; returns that id.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            running = self._running()
            pid = running.pids.get(name, old_pid)
            if pid != old_pid and _is_healthy(running, name):
                return pid
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"{name} was not started again within {timeout:.0f} s")

    def _is_ready(self, pid: int) -> bool:
        running = Running.read(self.data_dir)
        return running is not None and running.pid == pid and running.ready

    def _running(self) -> Running:
        running = Running.read(self.data_dir)
        if running is None:
            raise StartError(f"no platform runs on {self.data_dir}")
        return running


def _is_healthy(running: Running, name: str) -> bool:
    if name in SERVICES:
        return answers(running.ports[admin_port_name(name)], "/readyz")
    return name not in (*ENGINES, VLLM) or answers(running.ports[name], "/health")
