"""Does one step of a workflow's run: renders the payload's prompt and asks its instance, or the one behind it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.context import Call, Principal
from contracts.base import RefusalCode, Refused
from contracts.workflows import PayloadSnapshot
from orchestrator.deps import Deps
from orchestrator.domain.records import Claim
from orchestrator.domain.workflows.conditions import holds
from orchestrator.domain.workflows.fanout import items
from orchestrator.domain.workflows.questions import question
from orchestrator.domain.workflows.rendering import render, variables, with_defaults
from orchestrator.domain.workflows.responses import Answer, output, skipped
from orchestrator.engine.completions import complete_stoppably
from orchestrator.engine.progress import Answering
from orchestrator.store import workflow_runs
from orchestrator.store.workflow_runs import PinnedRun

_MARGIN = 0.5
"""Seconds before the step's deadline at which it gives up, so that it can say why."""
_MOST_PINNED = 64
_MOST_ITEMS_AT_ONCE = 8

_ASK_ANOTHER = frozenset(
    {
        RefusalCode.NOT_FOUND,
        RefusalCode.ENGINE_FAILED,
        RefusalCode.ENGINE_UNAVAILABLE,
        RefusalCode.RATE_LIMITED,
        RefusalCode.TIMEOUT,
    }
)
"""Refusals that say something about the instance rather than about the question or the caller."""


class PayloadSteps:
    """Keeps the snapshots of the runs that were worked on last: they never change, and each step needs its run's."""

    def __init__(self) -> None:
        self._pinned: OrderedDict[str, PinnedRun] = OrderedDict()

    async def do(self, deps: Deps, claim: Claim) -> dict[str, Any]:
        """The output of the step, which is the payload's response. Raises the router's `Refused`."""
        run, position = await self._run(deps, claim.run_id), claim.config["position"]
        snapshot, payload = run.snapshot, run.snapshot.payloads[position]
        responses = {earlier["position"]: earlier["content"] for earlier in claim.inputs}
        if payload.condition is not None and not holds(payload.condition, responses[payload.condition.position]):
            return skipped(position, payload)
        given = with_defaults(snapshot, claim.options["inputs"])
        listed: Sequence[str] | None = None
        if (source := payload.for_each) is not None:
            listed = items(given.get(source.input) if source.position is None else responses[source.position])
        with Answering(
            deps,
            owner=run.owner,
            run_id=run.id,
            payload_id=payload.payload_id,
            name=payload.step,
            expected=payload.response_length * (1 if listed is None else len(listed)),
        ) as progress:
            asking = _Asking(deps, claim, payload, progress.heard)

            async def answer(item: str | None, key: str) -> Answer:
                values = variables(snapshot, position, responses=responses, inputs=given, item=item)
                return await asking.answer(render(payload, values), key)

            if listed is None:
                return output(position, payload, [await answer(None, str(position))], each=False)
            return output(position, payload, await _of_each(listed, answer, position), each=True)

    async def _run(self, deps: Deps, run_id: str) -> PinnedRun:
        if (known := self._pinned.get(run_id)) is None:
            async with deps.database.connection() as connection:
                known = await workflow_runs.pinned_by(connection, run_id)
            self._pinned[run_id] = known
            if len(self._pinned) > _MOST_PINNED:
                self._pinned.popitem(last=False)
        self._pinned.move_to_end(run_id)
        return known


async def _of_each(
    listed: Sequence[str], answer: Callable[[str, str], Awaitable[Answer]], position: int
) -> list[Answer]:
    """The answers to all items, in their order. Raises what the first that fails raises; the others are stopped."""
    room = asyncio.Semaphore(_MOST_ITEMS_AT_ONCE)

    async def of_item(number: int, item: str) -> Answer:
        async with room:
            return await answer(item, f"{position}/{number}")

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(of_item(number, item)) for number, item in enumerate(listed)]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in asked]


@dataclass(frozen=True)
class _Asking:
    """Asks the router on behalf of whoever started the run."""

    deps: Deps
    claim: Claim
    payload: PayloadSnapshot
    heard: Callable[[], None]

    async def answer(self, prompt: str, key: str) -> Answer:
        """The answer of the payload's instance, else of its fallback. Under a repeated key the router tells again what
        it told before. Raises the router's `Refused`."""
        payload = self.payload
        try:
            return await self._ask(prompt, payload.llm_port, key)
        except Refused as refusal:
            if payload.fallback_port is None or refusal.code not in _ASK_ANOTHER:
                raise
            return await self._ask(prompt, payload.fallback_port, f"{key}/fallback")

    async def _ask(self, prompt: str, port: int, key: str) -> Answer:
        principal = self.claim.options["principal"]
        call = Call(
            principal=None if principal is None else Principal.model_validate(principal),
            idempotency_key=f"{self.claim.run_id}/{key}",
        )
        left = (self.claim.deadline - datetime.now(UTC)).total_seconds()
        try:
            async with asyncio.timeout(max(left - _MARGIN, _MARGIN)):
                reply = await complete_stoppably(self.deps.bus, question(self.payload, prompt, port), call, self.heard)
        except TimeoutError:
            raise Refused(RefusalCode.TIMEOUT, f"The instance on port {port} did not answer in time") from None
        return Answer(prompt, port, reply)
