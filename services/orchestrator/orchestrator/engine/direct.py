"""Tasks that are answered directly: one question to the router, and one row that is kept under a lease meanwhile.

A task outlives the call that asked for it. When it was cancelled, or its process was too silent, whoever ended the row
was first: what comes later is dropped.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from common.context import current
from common.telemetry import get_logger
from contracts.base import Refused
from contracts.router import ChatMessage
from contracts.tasks import TaskStatus
from orchestrator.deps import Deps
from orchestrator.domain.storable import mended
from orchestrator.engine.completions import chat, complete_stoppably
from orchestrator.store import tasks

SILENT = "The process that was answering stopped"
_STOPPED = "The platform was stopped before the answer was there"
_CRASHED = "An internal error occurred; it has been logged"
_RECORD_TRIES = 40
_PAUSE = 0.25

_log = get_logger("direct")


@dataclass(frozen=True)
class _Outcome:
    status: TaskStatus
    result: str | None = None
    error: str | None = None


async def answer(deps: Deps, task_id: str, messages: list[ChatMessage]) -> None:
    """Answers a task that has been entered, and returns once its row says how that went."""
    working = asyncio.create_task(_work(deps, task_id, messages))
    deps.answering[task_id] = working
    working.add_done_callback(lambda _: deps.answering.pop(task_id, None))
    # The caller may go away or lose patience; the task is kept, so it is finished. Or it was stopped, and that is told.
    await asyncio.wait({working})


async def keep(deps: Deps) -> None:
    """Keeps the leases of what is being answered here, and stops what has ended elsewhere, until cancelled."""
    while True:
        await asyncio.sleep(deps.policy.lease / 3)
        held = list(deps.answering)
        if not held:
            continue
        try:
            async with deps.database.connection() as connection:
                still = await tasks.beat(connection, held, lease=deps.policy.lease)
        except Refused as refusal:
            _log.warning("beat_waits", error=refusal.message)
            continue
        for task_id in held:
            if task_id not in still:
                stop(deps, task_id)


def stop(deps: Deps, task_id: str) -> None:
    """Stops answering, if it is this process that does."""
    if (working := deps.answering.get(task_id)) is not None:
        working.cancel()


async def stop_all(deps: Deps) -> None:
    """Ends what is still being answered, as failed."""
    working = list(deps.answering.values())
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def _work(deps: Deps, task_id: str, messages: list[ChatMessage]) -> None:
    recording = asyncio.create_task(_record(deps, task_id, await _ask(deps, messages)))
    while not recording.done():
        # What is there is recorded: it may be stopped no more.
        with suppress(asyncio.CancelledError):
            await asyncio.wait({recording})


async def _ask(deps: Deps, messages: list[ChatMessage]) -> _Outcome:
    # The caller's key names the task, not the completion.
    call = current()._replace(idempotency_key=None)
    try:
        reply = await complete_stoppably(deps.bus, chat(messages), call)
    except Refused as refusal:
        return _Outcome("Failed", error=refusal.message)
    except asyncio.CancelledError:
        return _Outcome("Failed", error=_STOPPED)
    except Exception:
        _log.exception("task_crashed")
        return _Outcome("Failed", error=_CRASHED)
    return _Outcome("Completed", result=mended(reply.content))


async def _record(deps: Deps, task_id: str, outcome: _Outcome) -> None:
    for _ in range(_RECORD_TRIES):
        try:
            async with deps.database.connection() as connection:
                await tasks.finish(connection, task_id, outcome.status, result=outcome.result, error=outcome.error)
            return
        except Refused as refusal:
            # A database that comes back soon shall not cost an answer.
            _log.warning("record_waits", task_id=task_id, error=refusal.message)
        await asyncio.sleep(_PAUSE)
    _log.error("task_not_recorded", task_id=task_id)
