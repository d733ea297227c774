"""Command lines of programs that end when we do, however we end."""

import os
import signal
import sys
from collections.abc import Sequence

from embedded import launch
from embedded.identity import Identity


def tethered(
    arguments: Sequence[str], *, death_signal: signal.Signals = signal.SIGKILL, identity: Identity | None = None
) -> list[str]:
    """A command line that runs `arguments` by way of `launch.py`, as `identity` where one is given.

    When the thread of this process that starts it ends, the kernel sends `death_signal`; on Linux alone.
    """
    tie = ["--parent", str(os.getpid()), "--death-signal", str(int(death_signal))]
    become = identity.options() if identity is not None else []
    return [sys.executable, "-I", "-S", launch.__file__, *tie, *become, "--", *arguments]
