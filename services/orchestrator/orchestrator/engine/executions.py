"""Executes actions: a run is entered before the model is asked, kept under a lease meanwhile, and ended once.

An execution outlives the call that asked for it. Where its process dies, any replica fails the run once the lease has
ended; whoever ends a run first is right, and what comes later is dropped.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from common.context import current
from common.database import Connection, UniqueViolation
from common.telemetry import get_logger
from contracts.actions import RunEntered
from contracts.base import RefusalCode, Refused
from contracts.router import Chat, ChatReply
from orchestrator.deps import Deps
from orchestrator.domain.actions import failures
from orchestrator.domain.actions.answers import Misshapen
from orchestrator.domain.actions.execution import Assignment, assign
from orchestrator.domain.actions.records import ActionRecord, ActionRunRecord, Ended, NewRun
from orchestrator.domain.storable import mended
from orchestrator.engine.attention import Attention
from orchestrator.engine.completions import complete_stoppably
from orchestrator.store import action_runs

_DIED = failures.interrupted("The process that executed the action stopped")
_STOPPED = failures.interrupted("The platform was stopped before the answer was there")
_CRASHED = Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged")
_ROUNDS = 2
"""A question, and one more where the answer has not the form that was asked for."""
_RECORD_TRIES = 40
_PAUSE = 0.25
_BATCH = 100

_log = get_logger("executions")


async def execute(
    deps: Deps, action: ActionRecord, input_data: Mapping[str, Any], *, post_id: int | None = None
) -> AsyncGenerator[RunEntered | ActionRunRecord, None]:
    """That the run is entered, and once it has completed the run. Under a repeated idempotency key: the first run.

    Raises `Refused`: for what the action cannot run with, before anything is kept; for a run that failed, after it is.
    """
    assignment = assign(action, input_data)
    new = _new_run(assignment, post_id)
    run_id = await _repeated(deps, new) or await _begun(deps, new, assignment)
    yield RunEntered(run_id=run_id)
    run = await _once_ended(deps, run_id)
    if run.error is not None:
        raise failures.execution_failed(action.output_field, action.id, run.id, run.error)
    yield run


def _new_run(assignment: Assignment, post_id: int | None) -> NewRun:
    call = current()
    return NewRun(
        action_id=assignment.action.id,
        version_id=assignment.action.version_id,
        post_id=post_id,
        owner=call.owner,
        idempotency_key=call.idempotency_key,
        input_data=assignment.input_data,
        input_text=assignment.input_text,
        model=assignment.action.model,
    )


async def _repeated(deps: Deps, new: NewRun) -> int | None:
    """The run of the caller's idempotency key. Raises `Refused(CONFLICT)` when it was given other input."""
    if new.idempotency_key is None:
        return None
    async with deps.database.connection() as connection:
        known = await action_runs.find(connection, new.owner, new.action_id, new.idempotency_key)
    if known is not None and (known.input_data, known.post_id) != (new.input_data, new.post_id):
        message = "The idempotency key was used for an execution with other input"
        raise Refused(RefusalCode.CONFLICT, message, {"run_id": known.id})
    return None if known is None else known.id


async def _begun(deps: Deps, new: NewRun, assignment: Assignment) -> int:
    """The id of a run that is entered now, and is worked on from now on."""
    try:
        async with deps.database.connection() as connection:
            run_id = await action_runs.insert(connection, new, lease=deps.policy.lease)
    except UniqueViolation:
        # The same key came twice at once, and the other was faster.
        known = await _repeated(deps, new)
        assert known is not None  # noqa: S101 - it is there, or this one would be
        return known
    working = asyncio.create_task(_work(deps, run_id, assignment))
    deps.executing[run_id] = working
    working.add_done_callback(lambda _: deps.executing.pop(run_id, None))
    return run_id


async def _once_ended(deps: Deps, run_id: int) -> ActionRunRecord:
    """The run when it has ended, wherever it is worked on: its lease sees to it that it does."""
    if (working := deps.executing.get(run_id)) is not None:
        # The caller may go away or lose patience; the run is kept, so it is finished.
        await asyncio.wait({working})
    while True:
        async with deps.database.connection() as connection:
            run = await action_runs.get(connection, run_id)
        assert run is not None  # noqa: S101 - runs are never deleted
        if run.status != "running":
            return run
        await asyncio.sleep(_PAUSE)


async def _work(deps: Deps, run_id: int, assignment: Assignment) -> None:
    recording = asyncio.create_task(_record(deps, run_id, await _ended(deps, run_id, assignment)))
    while not recording.done():
        # What is there is recorded: it may be stopped no more.
        with suppress(asyncio.CancelledError):
            await asyncio.wait({recording})


async def _record(deps: Deps, run_id: int, ended: Ended) -> None:
    for _ in range(_RECORD_TRIES):
        try:
            async with deps.database.connection() as connection:
                await action_runs.end(connection, run_id, ended)
            return
        except Refused as refusal:
            # A database that comes back soon shall not cost an answer.
            _log.warning("record_waits", run_id=run_id, error=refusal.message)
        await asyncio.sleep(_PAUSE)
    _log.error("run_not_recorded", run_id=run_id)


async def _ended(deps: Deps, run_id: int, assignment: Assignment) -> Ended:
    """How the execution went, whatever happens."""
    model, patience = assignment.action.model, deps.policy.action_timeout
    started = time.monotonic()
    asked = _Asked()
    try:
        async with asyncio.timeout(patience):
            output = await _ask(deps, run_id, assignment, asked)
    except Refused as refusal:
        failure = refusal
    except TimeoutError:
        failure = failures.timed_out(patience)
    except asyncio.CancelledError:
        failure = _STOPPED
    except Exception:
        _log.exception("execution_crashed", run_id=run_id)
        failure = _CRASHED
    else:
        return asked.ended(model, time.monotonic() - started, output_data=output)
    return asked.ended(model, time.monotonic() - started, error=_kept(failure))


class _Asked:
    """What the model has answered so far, over all rounds: it is paid for, whether it is of use or not."""

    def __init__(self) -> None:
        self._replies: list[ChatReply] = []

    def answered(self, reply: ChatReply) -> None:
        self._replies.append(reply)

    def ended(
        self,
        model: str,
        seconds: float,
        *,
        output_data: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> Ended:
        last = self._replies[-1] if self._replies else None
        return Ended(
            model=last.model if last else model,
            output_data=output_data,
            output_text=mended(last.content) if last else "",
            error=error,
            tokens_used=sum(reply.usage.total_tokens for reply in self._replies),
            execution_time=round(seconds, 3),
            simulated=any(reply.simulated for reply in self._replies),
        )


async def _ask(deps: Deps, run_id: int, assignment: Assignment, asked: _Asked) -> dict[str, Any]:
    """The output of the run. Raises `Refused`, also where the model does not write what was asked for."""
    question = assignment.question()
    for round_number in range(1, _ROUNDS + 1):
        reply = await _answer(deps, question, key=f"action_run/{run_id}/{round_number}")
        asked.answered(reply)
        try:
            return assignment.output(reply.content, cut_off=reply.finish_reason == "length")
        except Misshapen as misshapen:
            why = str(misshapen)
            question = assignment.question_again(reply.content, why)
    raise failures.misshapen(why)


async def _answer(deps: Deps, question: Chat, *, key: str) -> ChatReply:
    return await complete_stoppably(deps.bus, question, current()._replace(idempotency_key=key))


def _kept(failure: Refused) -> dict[str, Any]:
    """A refusal as a run keeps it."""
    kept: dict[str, Any] = mended(failure.body().model_dump(mode="json"))
    return kept


# Leases


async def keep(deps: Deps) -> None:
    """Keeps the leases of what is executed here, and fails runs whose process is gone, until cancelled."""
    attention = Attention(deps.policy.lease)
    while True:
        await asyncio.sleep(deps.policy.lease / 3)
        try:
            async with deps.database.connection() as connection:
                await _beat(deps, connection)
                if await attention.is_whole(connection):
                    await _end_silent(connection)
        except Refused as refusal:
            _log.warning("beat_waits", error=refusal.message)


async def _beat(deps: Deps, connection: Connection) -> None:
    held = dict(deps.executing)
    if not held:
        return
    still = await action_runs.beat(connection, list(held), lease=deps.policy.lease)
    for run_id, working in held.items():
        if run_id not in still:
            working.cancel()


async def _end_silent(connection: Connection) -> None:
    if ended := await action_runs.end_silent(connection, error=_kept(_DIED), limit=_BATCH):
        _log.warning("executions_expired", run_ids=ended)


async def stop_all(deps: Deps) -> None:
    """Ends what is still executed here, as failed."""
    working = list(deps.executing.values())
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
