"""`python -m trainer.child`: the process that does the work of steps, one at a time, for the service that started it.

Reads an `Order` a line from standard input and what it is steered by, writes `Ready`, `Logged` and `Ended` a line to
standard output (see `domain.orders`). It never outlives its parent.
"""

import ctypes
import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import BinaryIO

from common.objects import Objects
from common.telemetry import configure_logging, get_logger
from contracts.base import Message, Refused
from contracts.orchestrator import ClaimedStep, LogLevel, LogRecord, StepFailed, StepReleased, StepSucceeded
from trainer.agents.assignment import Agent, Assignment
from trainer.domain.configuration import effective_config
from trainer.domain.failures import crash_of, failure_of
from trainer.domain.steering import StepSteering
from trainer.domain.work import Paused
from trainer.engine.orders import TO_CHILD, Adjust, Ended, Logged, Order, Pause, Ready

_log = get_logger("child")
_PR_SET_PDEATHSIG = 1
_NICENESS = 5


class Line:
    """The way back to the service. Safe to write to from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, message: Message) -> None:
        data = message.model_dump_json().encode() + b"\n"
        with self._lock:
            self._stream.write(data)
            self._stream.flush()


class StepProgress:
    """The `Progress` of one step: every line goes to the service at once, which never lets us wait."""

    def __init__(self, line: Line, step: ClaimedStep) -> None:
        self._line = line
        self._step = step

    def log(self, level: LogLevel, message: str, **numbers: float) -> None:
        record = LogRecord.model_validate(
            {
                "run_id": self._step.run_id,
                "timestamp": datetime.now(UTC),
                "agent": self._step.agent_class,
                "agent_name": self._step.agent_name,
                "level": level,
                "message": message,
                **numbers,
            }
        )
        self._line.write(Logged(record=record))


def main() -> None:
    parent = os.getppid()
    orders, line = _take_over_standard_streams()
    _die_with(parent)
    configure_logging("trainer-child", os.environ.get("PLATFORM_LOG_LEVEL", "INFO"))
    # The platform's other services share the machine, and people wait for those.
    os.nice(_NICENESS)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from trainer.agents.table import AGENTS  # noqa: PLC0415 - not before the streams are safe

    line.write(Ready())
    for order, steering in iter(orders.get, None):
        line.write(Ended(result=perform(order, steering, line, AGENTS)))
        _release_memory()


def perform(
    order: Order, steering: StepSteering, line: Line, agents: Mapping[str, Agent]
) -> StepSucceeded | StepFailed | StepReleased:
    """Does one step. Whatever goes wrong becomes its outcome."""
    storage = order.storage
    try:
        effective_config(order.step)
        order.directory.mkdir(parents=True, exist_ok=True)
        assignment = Assignment(
            step=order.step,
            dataset=order.dataset,
            models=order.models,
            objects=Objects(
                storage.endpoint, storage.access_key, storage.secret_key, storage.region, storage.bucket_prefix
            ),
            progress=StepProgress(line, order.step),
            steering=steering,
            limits=order.limits,
            models_dir=order.models_dir,
            directory=order.directory,
        )
        return StepSucceeded(output=agents[order.step.agent_class](assignment))
    except Paused:
        return StepReleased()
    except Refused as refused:
        return failure_of(refused)
    except Exception as error:
        _log.exception("agent_crashed", agent=order.step.agent_class, step_id=order.step.step_id)
        return crash_of(error)


_Orders = queue.Queue[tuple[Order, StepSteering] | None]


def _take_over_standard_streams() -> tuple[_Orders, Line]:
    """Keeps both ends of the conversation for us: what a library prints goes to standard error instead."""
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    orders: _Orders = queue.Queue()
    threading.Thread(target=_read_orders, args=(incoming, orders), daemon=True).start()
    return orders, Line(outgoing)


def _read_orders(incoming: BinaryIO, orders: _Orders) -> None:
    steering = StepSteering()
    for data in incoming:
        match TO_CHILD.validate_json(data):
            case Order() as order:
                # Its own: what comes late for the order before it does nothing.
                steering = StepSteering(order.step.adjustments)
                orders.put((order, steering))
            case Pause():
                steering.pause()
            case Adjust(adjustment=adjustment):
                steering.adjust(adjustment)
    # Standard input ends with the service, and without it nobody wants what we do, even in the middle of a step.
    os._exit(0)


def _die_with(parent: int) -> None:
    """Has the kernel kill us with our parent. Where it cannot, the end of standard input does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def _release_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
