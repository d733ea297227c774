"""Does one step of a workflow's run: renders the payload's prompt and asks its instance, or the one behind it.

A payload that is done for each item of a list has its step split into as many as there are, and joins them at the end.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.workflows import ForEachSnapshot, PayloadSnapshot
from orchestrator.deps import Deps
from orchestrator.domain.records import Claim
from orchestrator.domain.workflows.conditions import holds
from orchestrator.domain.workflows.fanout import check_room, items, join, parts
from orchestrator.domain.workflows.questions import question
from orchestrator.domain.workflows.rendering import render, variables, with_defaults
from orchestrator.domain.workflows.responses import (
    LONGEST,
    Answer,
    is_skipped,
    joined,
    output,
    output_of_item,
    skipped,
)
from orchestrator.engine.completions import complete_for_step
from orchestrator.engine.progress import Answering
from orchestrator.engine.step_worker import Ask, Done, Split, is_no_attempt
from orchestrator.store import steps, workflow_runs
from orchestrator.store.workflow_runs import PinnedRun

_MOST_PINNED = 64

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

    async def do(self, deps: Deps, claim: Claim) -> Done:
        """The output of the step, which is the payload's response or that to one item of its list; or the items that
        it is split into. Raises the router's `Refused`."""
        run, position = await self._run(deps, claim.run_id), claim.config["position"]
        payload = run.snapshot.payloads[position]
        if claim.parts:
            async with deps.database.connection() as connection:
                return join(position, payload, await steps.parts(connection, claim.step_id, prompts=LONGEST))
        step = _PayloadStep(deps, claim, run, position, payload)
        if (item := claim.config.get("item")) is not None:
            return output_of_item(position, payload, item, await step.answer(item, claim.config["text"]))
        return await step.do()

    async def _run(self, deps: Deps, run_id: str) -> PinnedRun:
        if (known := self._pinned.get(run_id)) is None:
            async with deps.database.connection() as connection:
                known = await workflow_runs.pinned_by(connection, run_id)
            if known is None:
                raise Refused(RefusalCode.NOT_FOUND, "The run was deleted when its step had just been claimed")
            self._pinned[run_id] = known
            if len(self._pinned) > _MOST_PINNED:
                self._pinned.popitem(last=False)
        self._pinned.move_to_end(run_id)
        return known


@dataclass(frozen=True)
class _PayloadStep:
    """A claimed step of a run: what came before it, and how it is asked."""

    deps: Deps
    claim: Claim
    run: PinnedRun
    position: int
    payload: PayloadSnapshot

    async def do(self) -> Done:
        """The payload's response, the items that it is done for, or that a person must be asked first."""
        if self.is_skipped():
            return skipped(self.position, self.payload)
        if self.claim.approval:
            return Ask()
        if (source := self.payload.for_each) is None:
            return output(self.position, self.payload, await self.answer())
        if not (listed := items(self.list_of(source))):
            return joined(self.position, self.payload, [])
        async with self.deps.database.connection() as connection:
            check_room(await steps.count_parts(connection, self.claim.run), len(listed))
        new = parts(self.run.snapshot, self.position, listed, self.claim.kept_parts or [])
        return Split(new, self.payload.items_at_once)

    def is_skipped(self) -> bool:
        payload, condition = self.payload, self.payload.condition
        before = [earlier for earlier in self.claim.inputs if earlier["position"] in payload.needs]
        if payload.when_skipped == "skip" and before and all(is_skipped(earlier) for earlier in before):
            return True
        return condition is not None and not holds(condition, self._responses[condition.position])

    def list_of(self, source: ForEachSnapshot) -> Any:
        """What the payload is done for each of: each response where the source was done for a list itself."""
        if source.input is not None:
            return self._inputs.get(source.input)
        before = next(earlier for earlier in self.claim.inputs if earlier["position"] == source.position)
        return before.get("items", before["content"])

    async def answer(self, item: int | None = None, text: str | None = None) -> Answer:
        """To the payload's prompt, for the `item` that is this `text`. Raises the router's `Refused`."""
        values = variables(self.run.snapshot, self.position, responses=self._responses, inputs=self._inputs, item=text)
        prompt = render(self.payload, values)
        key = str(self.position) if item is None else f"{self.position}/{item}"
        with Answering(
            self.deps, owner=self.run.owner, run_id=self.run.id, payload=self.payload, item=item
        ) as progress:
            return await _Asking(self.deps, self.claim, self.payload, progress.heard).answer(prompt, key)

    @property
    def _responses(self) -> dict[int, str]:
        return {earlier["position"]: earlier["content"] for earlier in self.claim.inputs}

    @property
    def _inputs(self) -> dict[str, Any]:
        return with_defaults(self.run.snapshot, self.claim.options["inputs"])


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
            try:
                return await self._ask(prompt, payload.fallback_port, f"{key}/fallback")
            except Refused as second:
                if not _was_an_attempt(refusal, second):
                    raise
                # Worth another one: the fallback may be free by then.
                raise Refused(refusal.code, refusal.message, {**refusal.metadata, "temporary": True}) from second

    async def _ask(self, prompt: str, port: int, key: str) -> Answer:
        asked, instance = question(self.payload, prompt, port), f"The instance on port {port}"
        reply = await complete_for_step(self.deps.bus, asked, self.claim, key, asked=instance, heard=self.heard)
        return Answer(prompt, port, reply)


def _was_an_attempt(first: Refused, second: Refused) -> bool:
    """Whether an engine failed with `first` and its fallback, with `second`, could not even be asked: if that were no
    attempt, the engine would be asked for ever. A port that nobody serves costs nothing to ask again."""
    return is_no_attempt(second) and not is_no_attempt(first) and first.code is not RefusalCode.NOT_FOUND
