"""What people want of one step, handed from the thread that hears it to the agent that heeds it."""

from collections import deque
from collections.abc import Iterable

from contracts.orchestrator import StepAdjustment


class StepSteering:
    """The `Steering` of one attempt. Safe to use from two threads."""

    def __init__(self, earlier: Iterable[StepAdjustment] = ()) -> None:
        self._waiting = deque(earlier)
        self._pause = False

    def pause(self) -> None:
        self._pause = True

    def adjust(self, adjustment: StepAdjustment) -> None:
        self._waiting.append(adjustment)

    def wants_pause(self) -> bool:
        return self._pause

    def adjustments(self) -> list[StepAdjustment]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
