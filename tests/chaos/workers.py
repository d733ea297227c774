"""Jobs of steps that workers claim over the bus, and workers of whom some fall silent with a step in their hands."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from common.bus import Bus, Pulled
from contracts.base import Refused
from contracts.orchestrator import (
    BEAT_STEPS,
    CLAIM_STEP,
    FINISH_STEP,
    BeatSteps,
    ClaimedStep,
    ClaimStep,
    FinishStep,
    HeldStep,
    StepReady,
    StepSucceeded,
)
from contracts.pipeline import DatasetOutput
from contracts.topology import TRAINER_WORK
from tests.chaos.clients import Client
from tests.chaos.history import ENDED, Finish, History

AGENT = "DatasetAgent"
_GRAPH = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
_WAIT = 1.0
_PAUSE = 0.3
_TRIES = 20
_SILENT = 0.1
"""The share of claims with which a worker falls silent: it beats no more, and reports when its lease is long over."""
_LONGEST_WORK = 1.5


def job(run_id: str) -> dict[str, Any]:
    """Four agents, of which the middle two may run side by side."""
    config = {"file_path": "s3://datasets/a.csv"}
    return {
        "pipeline_config": {
            "run_id": run_id,
            "nodes": [{"agent_name": name, "agent_class": AGENT, "config": config} for name in "abcd"],
            "edges": [{"from_agent": before, "to_agent": after} for before, after in _GRAPH],
            "global_config": {"max_retries": 0, "step_timeout_seconds": 30},
        }
    }


async def want(client: Client, history: History, seed: int, number: int) -> None:
    """Submits a job and waits for its end."""
    key = f"job-{seed}-{number}"
    dice = random.Random(f"chaos/{key}")
    history.expected[key] = frozenset({"completed"})
    job_id = await client.submit(dice, "/api/v1/jobs", job(f"chaos-{seed}-{number}"), key, "job_id")
    while True:
        _, found = await client.surely(dice, "GET", f"/api/v1/jobs/{job_id}")
        if found["status"] in ENDED:
            return
        await asyncio.sleep(2 * _PAUSE)


@dataclass
class Worker:
    """One of several. What it reports has a number of rows that no other report has."""

    bus: Bus
    name: str
    history: History
    dice: random.Random
    numbers: "count[int]"

    async def work(self) -> None:
        """Until cancelled. A claimed step is worked on beside the next claim, as by a process with several slots."""
        hints = self.bus.puller(TRAINER_WORK)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    step = None
                    with suppress(Refused):
                        step = await self._claimed(await hints.fetch(1, _WAIT))
                    if step is not None:
                        group.create_task(self._do(step))
        finally:
            await hints.close()

    async def _claimed(self, hints: list[Pulled[StepReady]]) -> ClaimedStep | None:
        if not hints:
            return None
        step = await self._claim(hints[0].delivered.body.step_id)
        with suppress(Exception):
            # A hint that is not settled comes again.
            await hints[0].ack()
        return step

    async def _claim(self, step_id: int) -> ClaimedStep | None:
        request = ClaimStep(worker_id=self.name, agent_classes=[AGENT], step_id=step_id)
        return (await self.bus.ask(CLAIM_STEP, request)).step

    async def _do(self, step: ClaimedStep) -> None:
        if self.dice.random() < _SILENT:
            await asyncio.sleep(step.lease_seconds * self.dice.uniform(1.2, 2.5))
        else:
            await self._work_on(step, self.dice.uniform(0, _LONGEST_WORK))
        await self._finish(step)

    async def _work_on(self, step: ClaimedStep, seconds: float) -> None:
        beat = step.lease_seconds / 3
        while seconds > 0:
            await asyncio.sleep(min(beat, seconds))
            seconds -= beat
            held = [HeldStep(step_id=step.step_id, fence=step.fence)]
            with suppress(Refused):
                await self.bus.ask(BEAT_STEPS, BeatSteps(worker_id=self.name, steps=held), timeout=1.0)

    async def _finish(self, step: ClaimedStep) -> None:
        """Reports until there is an answer: an answer that was lost is as likely as a question."""
        rows = next(self.numbers)
        output = DatasetOutput(
            dataset_id=None, s3_path="s3://b/k", format="csv", rows=rows, columns=[], size_bytes=1, sha256="0"
        )
        request = FinishStep(step_id=step.step_id, fence=step.fence, result=StepSucceeded(output=output))
        for _ in range(_TRIES):
            try:
                recorded = (await self.bus.ask(FINISH_STEP, request, timeout=3.0)).recorded
            except Refused:
                await asyncio.sleep(_PAUSE)
                continue
            self.history.finishes.append(Finish(step.step_id, step.fence, rows, recorded))
            return
