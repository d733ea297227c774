"""Runs a program that has processes of its own, and leaves none of them behind when it is asked to stop.

    python -m embedded.guard --grace SECONDS -- PROGRAM ARGUMENTS...

The kernel tells one process alone that the supervisor has died. A program that dies of it before it is ready to end its
own processes leaves them running, which hold memory and ports. So this one is told in its place: it passes SIGTERM on,
waits, and kills what is left of its process group, to which nobody but the program may belong.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from embedded.tether import tethered


def guarded(arguments: Sequence[str], *, grace: float) -> tuple[str, ...]:
    """A command line that runs `arguments` under guard, with `grace` seconds between SIGTERM and SIGKILL."""
    return (sys.executable, "-m", "embedded.guard", "--grace", str(grace), "--", *arguments)


def main() -> int:
    """The program's exit status, in the way of shells: 128 and the signal's number when a signal ended it."""
    options = _options()
    started: list[int] = []
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, options.grace)

    signal.signal(signal.SIGALRM, lambda _number, _frame: _kill_all())
    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen(tethered(options.command))
    started.append(child.pid)
    if stopping:
        child.terminate()
    status = child.wait()
    if stopping:
        _kill_all()
    return status if status >= 0 else 128 - status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m embedded.guard")
    parser.add_argument("--grace", type=float, required=True, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _kill_all() -> None:
    """Kills the process group, this process included."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
