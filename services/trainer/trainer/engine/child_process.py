"""The process that does the work of steps, seen from the service: started, given orders, listened to, killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from common.telemetry import Counter, get_logger
from contracts.orchestrator import LogRecord, StepFailed, StepReleased, StepSucceeded
from trainer.engine.orders import FROM_CHILD, Adjust, Ended, FromChild, Logged, Order, Pause, Ready, ToChild

_log = get_logger("child")
_DEATHS = Counter("trainer_child_deaths_total", "Worker processes that died unasked")
_LONGEST_LINE = 16 * 1024 * 1024
_COMMAND = (sys.executable, "-m", "trainer.child")
_LONGEST_PAUSE = 30.0
_LAST_SECONDS = 5.0


Outcome = StepSucceeded | StepFailed | StepReleased
Steering = asyncio.Queue[Pause | Adjust]
"""What is to be told a child about its order, also while it has not got that yet."""


class ChildDied(Exception):
    """The process ended in the middle of an order; the message says of what."""


class ChildProcess:
    """One worker process, kept running: what it has imported for one order, the next finds there.

    Not to be shared: one order at a time. After a death a new process is started at once.
    """

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._process: Process | None = None
        self._is_ready = False

    async def start(self) -> Process:
        """Starts the process unless it runs."""
        if self._process is None or self._process.returncode is not None:
            self._is_ready = False
            # A session of its own, so that Ctrl-C reaches the service alone, which then ends its work in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,
            )
        return self._process

    async def ready(self) -> None:
        """Waits for a process that has imported all it needs; one that dies on the way is started again, later."""
        pause = 0.5
        while not self._is_ready or self._process is None or self._process.returncode is not None:
            process = await self.start()
            while (message := await self._next(process)) is not None and not isinstance(message, Ready):
                continue
            self._is_ready = message is not None
            if message is None:
                _log.error("child_does_not_start", reason=await self._reap(process), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def run(self, order: Order, on_log: Callable[[LogRecord], None], steering: Steering | None = None) -> Outcome:
        """Has the order done. Raises ChildDied. Cancelling it kills the process, whatever it is doing."""
        await self.ready()
        process = await self.start()
        try:
            return await self._converse(process, order, on_log, steering or Steering())
        except BaseException:
            await self._kill(process)
            # The next order finds a warm process again.
            await self.start()
            raise

    async def close(self) -> None:
        """Ends the process; an idle one by itself, since its orders end."""
        if self._process is not None:
            await self._kill(self._process)

    async def _converse(
        self, process: Process, order: Order, on_log: Callable[[LogRecord], None], steering: Steering
    ) -> Outcome:
        await _tell(process, order)
        passing_on = asyncio.create_task(_pass_on(process, steering))
        try:
            while (message := await self._next(process)) is not None:
                if isinstance(message, Logged):
                    on_log(message.record)
                elif isinstance(message, Ended):
                    return message.result
        finally:
            passing_on.cancel()
            await asyncio.gather(passing_on, return_exceptions=True)
        _DEATHS.inc()
        raise ChildDied(await self._reap(process))

    async def _next(self, process: Process) -> FromChild | None:
        """The next message, or None when the process says nothing more. What is no message is left out."""
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        while line := await process.stdout.readline():
            try:
                return FROM_CHILD.validate_json(line)
            except ValidationError as error:
                _log.error("child_unreadable", error=str(error))
        return None

    async def _reap(self, process: Process) -> str:
        """What the process, whose output has ended, died of."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        if code == -signal.SIGKILL:
            return "it was killed, perhaps because the machine ran out of memory"
        return f"it got {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"

    async def _kill(self, process: Process) -> None:
        if process.returncode is None:
            # Its session too: whatever it started goes with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _pass_on(process: Process, steering: Steering) -> None:
    while True:
        await _tell(process, await steering.get())


async def _tell(process: Process, message: ToChild) -> None:
    """A process that has died says so at its other end."""
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    with suppress(ConnectionError):
        process.stdin.write(message.model_dump_json().encode() + b"\n")
        await process.stdin.drain()
