"""The command line: `python -m embedded run` brings up the whole platform until Ctrl-C or SIGTERM."""

import argparse
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable

from pydantic import ValidationError

from embedded.errors import StartError
from embedded.log import Log
from embedded.machine import Machine
from embedded.settings import Settings


def main() -> int:
    """The exit status: 0 after an orderly stop, 1 when the platform cannot start, 2 for settings that make no sense."""
    parser = argparse.ArgumentParser(prog="embedded", description="The LLM platform on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="bring up everything; settings come from PLATFORM_* variables")
    parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        return _fail("\n".join(_explained(error)), 2)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    machine = Machine(settings, Log(sys.stdout, colour=colour, debug=settings.log_level == "DEBUG"))
    _on_signals(machine.supervisor.request_stop)
    try:
        machine.run()
    except StartError as error:
        return _fail(str(error), 1)
    return 0


def _on_signals(act: Callable[[], None]) -> None:
    """Calls `act` in a thread for each SIGINT, SIGTERM, or SIGHUP unless that is ignored."""
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def act_on_each() -> None:
        while True:
            received.get()
            act()

    threading.Thread(target=act_on_each, name="signals", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            # `nohup make run &` outlives its terminal.
            continue
        # A handler interrupts the main thread anywhere, even inside a lock: putting here is all that is safe.
        signal.signal(number, lambda number, _frame: received.put(number))


def _explained(error: ValidationError) -> list[str]:
    return [f"PLATFORM_{'_'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors()]


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"\nThe platform cannot start: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
