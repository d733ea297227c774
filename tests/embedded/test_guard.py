"""The guard of a program that has processes of its own: none of them is left when it is asked to stop."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from embedded.guard import guarded

_WITH_A_CHILD = """
import signal, subprocess, sys
{prepare}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
signal.pause()
"""
HEEDLESS = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs a Python program under guard, in a session of its own as the supervisor does."""
    started: list[subprocess.Popen[str]] = []

    def start_program(program: str, grace: float = 60.0) -> "subprocess.Popen[str]":
        command = guarded([sys.executable, "-c", program], grace=grace)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> int:
    """The number that the program prints first: the id of its child."""
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.parametrize(
    ("program", "status"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL)],
)
def test_it_ends_as_the_program_does(start: Start, program: str, status: int):
    assert start(program).wait(20) == status


def test_a_program_that_dies_of_the_signal_leaves_no_child(
    start: Start, alive: Callable[[int], bool], eventually: Callable[..., None]
):
    process = start(_WITH_A_CHILD.format(prepare=""))
    child = said(process)
    process.terminate()
    assert process.wait(20) == -signal.SIGKILL
    eventually(lambda: not alive(child))


def test_a_program_that_does_not_heed_the_signal_is_killed_after_its_grace(
    start: Start, alive: Callable[[int], bool], eventually: Callable[..., None]
):
    process = start(_WITH_A_CHILD.format(prepare=HEEDLESS), grace=0.1)
    child = said(process)
    process.terminate()
    assert process.wait(20) == -signal.SIGKILL
    eventually(lambda: not alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_program_does_not_outlive_a_guard_that_is_killed(
    start: Start, alive: Callable[[int], bool], eventually: Callable[..., None]
):
    process = start("import os, signal; print(os.getpid(), flush=True); signal.pause()")
    program = said(process)
    process.kill()
    eventually(lambda: not alive(program))
