"""What one run of the platform does besides starting programs."""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from embedded.__main__ import _on_signals
from embedded.log import Log, parse_json
from embedded.machine import Machine
from embedded.process import Command
from embedded.settings import Settings
from embedded.supervisor import Stage


def test_what_cannot_be_recorded_is_watched_nevertheless(tmp_path: Path, eventually: Callable[..., None]):
    stream = io.StringIO()
    machine = Machine(Settings(data_dir=tmp_path / "gone"), Log(stream, colour=False))
    machine._ports = {"gateway": 1}
    sleep = (sys.executable, "-c", "import time; time.sleep(600)")
    machine.supervisor.launch(Stage.SERVERS, Command("program", sleep, dict(os.environ), lambda: True, parse_json))
    process = machine.supervisor.processes["program"]
    try:
        eventually(lambda: process.pid is not None)
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: process.pid not in (None, first))
    finally:
        machine.supervisor.stop()
    assert "not_recorded" in stream.getvalue()


def test_a_platform_that_is_to_outlive_its_terminal_does():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _on_signals(lambda: None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
