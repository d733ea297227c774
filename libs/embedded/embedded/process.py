"""One supervised process: started, watched, started again with back-off when it dies, stopped with grace."""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import StartError, StopRequested
from embedded.identity import Identity
from embedded.log import Entry, Log, Parse
from embedded.tether import tethered

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_STABLE_SECONDS = 30.0
"""A process that lived this long counts as healthy: its next restart is quick again."""
_ATTEMPTS_TO_START = 4
"""So many deaths before it was ever ready mean that it cannot start."""
_POLL_SECONDS = 0.03
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True)
class Command:
    """What to start, how to know that it is ready, and how to end it.

    `ready` is asked again and again and may take a second. `grace` is the seconds between `stop_signal` and SIGKILL.
    `death_signal` is what the kernel sends it when the supervisor dies without a word. Without `keeps_output`, standard
    output is dropped and standard error alone is logged.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    parse: Parse
    directory: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace: float = 10.0
    identity: Identity | None = None
    keeps_output: bool = True
    before_start: Callable[[], None] = lambda: None
    after_stop: Callable[[], None] = lambda: None


class Process:
    """Runs a `Command` in a thread of its own. `on_change` is called with each new process id."""

    def __init__(self, command: Command, log: Log, on_change: Callable[[], None] = lambda: None) -> None:
        self.command = command
        self.restarts = 0
        self._log = log
        self._on_change = on_change
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._early_deaths = 0
        self._last_lines: deque[str] = deque(maxlen=15)
        # The kernel sends the death signal when the thread that forked ends, so this one lives as long as the process.
        self._thread = threading.Thread(target=self._supervise, name=f"supervise {command.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The id of the running process; None between a death and the next start."""
        child = self._child
        return child.pid if child is not None else None

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self, deadline: float, stop: threading.Event) -> None:
        """Returns once the process is ready.

        Raises StartError when it dies again and again or is not ready by `deadline` (monotonic seconds), StopRequested
        when `stop` is set meanwhile.
        """
        name = self.command.name
        while not (self.pid is not None and self.command.ready()):
            if self._early_deaths >= _ATTEMPTS_TO_START:
                raise StartError(f"{name} dies as soon as it starts{self._quoted()}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} is not ready in time{self._quoted()}")
            if stop.wait(_POLL_SECONDS):
                raise StopRequested
        self._was_ready = True

    def request_stop(self) -> None:
        """Asks the process to end, and lets it not start again."""
        with self._lock:
            self._stopping.set()
            if self._child is not None:
                self._signal(self._child, self.command.stop_signal)

    def finish_stop(self, hurry: threading.Event) -> None:
        """Waits for the end that was requested; after the grace, or once `hurry` is set, kills."""
        deadline = time.monotonic() + self.command.grace
        while self._thread.is_alive() and time.monotonic() < deadline and not hurry.is_set():
            self._thread.join(_POLL_SECONDS)
        if self._thread.is_alive() and (child := self._child) is not None:
            self._log.say("killed", "warning", process=self.command.name, grace_seconds=self.command.grace)
            _kill_group(child.pid)
        self._thread.join(5.0)
        self.command.after_stop()

    def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            status = self._run_once()
            if status is None or self._stopping.is_set():
                return
            lived = time.monotonic() - started
            if not self._was_ready:
                self._early_deaths += 1
            pause = _FIRST_PAUSE if lived > _STABLE_SECONDS else pause
            self._log.say(
                "process_died", "error", process=self.command.name, how=_describe(status), restart_in=f"{pause:.1f}s"
            )
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, _LONGEST_PAUSE)
            self.restarts += 1

    def _run_once(self) -> int | None:
        """The exit status of one life; None when it was not to start any more, or could not."""
        command = self.command
        with self._lock:
            if self._stopping.is_set():
                return None
            try:
                command.before_start()
                child = subprocess.Popen(
                    tethered(command.arguments, death_signal=command.death_signal, identity=command.identity),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if command.keeps_output else subprocess.DEVNULL,
                    stderr=subprocess.STDOUT if command.keeps_output else subprocess.PIPE,
                    env=dict(command.environment),
                    cwd=command.directory,
                    # Away from the terminal: Ctrl-C reaches the supervisor alone, which then ends things in order.
                    start_new_session=True,
                )
            except OSError as error:
                self._log.say("process_not_started", "error", process=command.name, error=str(error))
                return 127
            self._child = child
        self._on_change()
        reader = threading.Thread(target=self._read, args=(child,), name=f"read {command.name}", daemon=True)
        reader.start()
        status = child.wait()
        # What it left behind in its group would hold its ports, files and the pipe.
        _kill_group(child.pid)
        self._child = None
        reader.join(2.0)
        return status

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        pipe = child.stdout or child.stderr
        assert pipe is not None  # noqa: S101 - one of the two is always a pipe
        with pipe:
            while raw := pipe.readline(_LONGEST_LINE):
                line = raw.decode(errors="replace").rstrip()
                if line:
                    self._last_lines.append(line)
                    self._log.write(self.command.name, self.command.parse(line) or Entry(line))

    def _signal(self, child: subprocess.Popen[bytes], number: signal.Signals) -> None:
        if child.returncode is None:
            child.send_signal(number)

    def _quoted(self) -> str:
        lines = "\n".join(f"    {line}" for line in self._last_lines)
        return f". It said:\n{lines}" if lines else ", and it said nothing"


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nothing is left of it.
        return


def _describe(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
