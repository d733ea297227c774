"""One supervised process, with real programs."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embedded.errors import StartError, StopRequested

SLEEP = "import time; time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
SUPERVISOR = """
import io, os, signal, sys, time
from embedded.log import Log, parse_json
from embedded.process import Command, Process
sleep = (sys.executable, "-c", "import time; time.sleep(600)")
command = Command("program", sleep, dict(os.environ), lambda: True, parse_json)
process = Process(command, Log(io.StringIO(), colour=False))
process.start()
while process.pid is None:
    time.sleep(0.01)
print(process.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_process_is_started_again(start):
    watched = start(SLEEP)
    first = watched.pid()
    os.kill(first, signal.SIGKILL)
    second = watched.pid(other_than=first)
    assert watched.process.restarts == 1
    assert 'how="signal SIGKILL"' in watched.stream.getvalue()
    os.kill(second, signal.SIGKILL)
    watched.pid(other_than=second)
    assert watched.process.restarts == 2


def test_the_pause_before_a_restart_doubles(start, eventually):
    watched = start("raise SystemExit(3)")
    eventually(lambda: watched.stream.getvalue().count("process_died") == 3)
    pauses = [line.split("restart_in=")[1] for line in watched.stream.getvalue().splitlines()]
    assert pauses == ["0.2s", "0.4s", "0.8s"]


def test_a_process_that_cannot_start_is_reported_with_its_last_words(start):
    watched = start("print('no such table'); raise SystemExit(3)", ready=lambda: False)
    with pytest.raises(StartError, match=r"dies as soon as it starts(?s:.*)no such table"):
        watched.process.wait_ready(time.monotonic() + 30, threading.Event())


def test_a_process_that_is_never_ready_is_reported(start):
    watched = start(SLEEP, ready=lambda: False)
    with pytest.raises(StartError, match="program is not ready in time"):
        watched.process.wait_ready(time.monotonic() + 0.2, threading.Event())


def test_waiting_ends_when_a_stop_is_requested(start):
    watched = start(SLEEP, ready=lambda: False)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StopRequested):
        watched.process.wait_ready(time.monotonic() + 30, stop)


def test_a_stopped_process_is_not_started_again(start, alive):
    watched = start(SLEEP)
    pid = watched.pid()
    watched.stop()
    assert not alive(pid)
    assert watched.process.pid is None
    assert "process_died" not in watched.stream.getvalue()


def test_a_process_that_ignores_the_stop_is_killed_after_its_grace(start, alive, eventually):
    watched = start(STUBBORN, grace=0.3)
    eventually(lambda: "deaf" in watched.stream.getvalue())
    pid = watched.pid()
    began = time.monotonic()
    watched.stop()
    assert not alive(pid)
    assert 0.3 <= time.monotonic() - began < 3


def test_a_hurried_stop_waits_for_no_grace(start, alive, eventually):
    watched = start(STUBBORN, grace=60.0)
    eventually(lambda: "deaf" in watched.stream.getvalue())
    pid = watched.pid()
    watched.hurry.set()
    watched.stop()
    assert not alive(pid)


def test_what_a_process_started_ends_with_it(start, alive, eventually):
    watched = start(PARENT)
    eventually(lambda: watched.stream.getvalue().count("\n") == 1)
    grandchild = int(watched.stream.getvalue().split()[-1])
    assert alive(grandchild)
    os.kill(watched.pid(), signal.SIGKILL)
    eventually(lambda: not alive(grandchild))


def test_nothing_survives_a_supervisor_that_is_killed(alive, eventually):
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True)
    with supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert alive(pid)
        supervisor.kill()
    eventually(lambda: not alive(pid))


def test_a_line_without_an_end_does_not_block_the_process(start, eventually, tmp_path: Path):
    done = tmp_path / "done"
    watched = start(f"import sys, time; sys.stdout.write('x' * 300_000); open({str(done)!r}, 'w'); time.sleep(600)")
    eventually(done.exists)
    assert "x" * 60_000 in watched.stream.getvalue()


def test_a_program_that_does_not_exist_says_so(start, eventually):
    watched = start(SLEEP, executable="/no/such/program")
    eventually(lambda: "cannot start /no/such/program: No such file or directory" in watched.stream.getvalue())
