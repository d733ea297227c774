"""Starts processes in stages, keeps each of them alive, and stops them in the reverse order."""

import threading
import time
from collections.abc import Callable
from enum import IntEnum

from embedded.log import Log
from embedded.process import Command, Process


class Stage(IntEnum):
    """What depends on what. A later stage is stopped before an earlier one; within a stage all are stopped at once."""

    SERVERS = 1
    ENGINES = 2
    SERVICES = 3
    WORKERS = 4
    """They give back what they hold, and somebody has to hear it."""
    GATEWAY = 5


class Supervisor:
    """The processes of one platform. `on_change` is called whenever a process was started, from any thread."""

    def __init__(self, log: Log, on_change: Callable[[], None] = lambda: None) -> None:
        self.log = log
        self.stop_requested = threading.Event()
        self.hurry = threading.Event()
        self._on_change = on_change
        self._stages: dict[Stage, list[Process]] = {stage: [] for stage in Stage}

    @property
    def processes(self) -> dict[str, Process]:
        """All processes by name."""
        return {process.command.name: process for stage in self._stages.values() for process in list(stage)}

    def launch(self, stage: Stage, *commands: Command) -> None:
        """Starts the commands, without waiting until they are ready."""
        for command in commands:
            process = Process(command, self.log, self._on_change)
            self._stages[stage].append(process)
            process.start()

    def wait_ready(self, timeout: float, *names: str) -> None:
        """Returns once the named processes, or all, are ready.

        Raises StartError when one is not within `timeout` seconds, StopRequested when a stop was requested meanwhile.
        """
        deadline = time.monotonic() + timeout
        for name, process in self.processes.items():
            if not names or name in names:
                process.wait_ready(deadline, self.stop_requested)

    def request_stop(self) -> None:
        """Asks for the stop; a second time, for a stop without grace."""
        if self.stop_requested.is_set():
            self.hurry.set()
        self.stop_requested.set()

    def stop(self) -> None:
        """Stops everything, last stage first. Nothing runs when it returns."""
        self.stop_requested.set()
        for stage in reversed(Stage):
            for process in self._stages[stage]:
                process.request_stop()
            for process in self._stages[stage]:
                process.finish_stop(self.hurry)
