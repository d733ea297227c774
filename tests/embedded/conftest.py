"""Small real processes that stand in for engines and services, so that the supervisor is tested without them."""

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded.endpoints import SERVICES
from embedded.log import Log, parse_json
from embedded.process import Command, Process

_SERVICE = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port = int(os.environ.get("PLATFORM_ADMIN_PORT") or sys.argv[sys.argv.index("--port") + 1])

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/readyz", "/health") else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"argv": sys.argv[1:], "environment": dict(os.environ)}).encode())
    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print(json.dumps({"event": "service_ready", "level": "info", "admin_port": port}), flush=True)
HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which modules named like the engines and services are found before the real ones."""
    directory = tmp_path_factory.mktemp("stand-ins")
    engines = ["engines/local.py", "engines/simulated.py", "vllm/entrypoints/launchers/api_server/entry.py"]
    for module in [f"{service}/main.py" for service in SERVICES] + engines:
        path = directory / module
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(_SERVICE)
    return {"PYTHONPATH": str(directory)}


class Watched:
    """A process under test and what its log says."""

    def __init__(self, command: Command) -> None:
        self.stream = io.StringIO()
        self.process = Process(command, Log(self.stream, colour=False))
        self.hurry = threading.Event()

    def pid(self, other_than: int | None = None) -> int:
        """Waits until the process runs, under another id than the given one."""
        wait_until(lambda: self.process.pid not in (None, other_than))
        assert self.process.pid is not None
        return self.process.pid

    def stop(self) -> None:
        self.process.request_stop()
        self.process.finish_stop(self.hurry)


def wait_until(holds: Callable[[], bool], timeout: float = 10.0) -> None:
    """Raises AssertionError when `holds` is still false after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody asked after does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture
def start() -> Iterator[Callable[..., Watched]]:
    """Starts a Python program under supervision and stops it after the test."""
    started: list[Watched] = []

    def start_program(
        program: str,
        ready: Callable[[], bool] = lambda: True,
        grace: float = 5.0,
        executable: str = sys.executable,
    ) -> Watched:
        command = Command(
            name="program",
            arguments=(executable, "-u", "-c", program),
            environment=dict(os.environ),
            ready=ready,
            parse=parse_json,
            grace=grace,
        )
        watched = Watched(command)
        started.append(watched)
        watched.process.start()
        return watched

    yield start_program
    for watched in started:
        watched.stop()


@pytest.fixture(scope="session")
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return wait_until
