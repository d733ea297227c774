"""Hints: sent with what they tell of, and sent again when they are lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from common.bus import Bus, Pulled
from common.database import Database
from common.outbox import OutboxRelay
from contracts.orchestrator import ClaimStep, FinishStep, StepFailed, StepReady, SubmitJob
from contracts.topology import TRAINER_WORK
from orchestrator.deps import Deps
from orchestrator.engine.reaper import Reaper
from orchestrator.handlers.jobs import submit_job
from orchestrator.handlers.steps import claim_step, finish_step

from .conftest import definition


class Hints:
    """What a worker that listens to hints hears."""

    def __init__(self, bus: Bus, relay: OutboxRelay) -> None:
        self._puller = bus.puller(TRAINER_WORK)
        self._relay = relay

    async def heard(self, wait: float = 0.3) -> list[int]:
        """Ids of the steps that hints have come about since it was asked last."""
        while await self._relay.relay_once():
            pass
        steps: list[int] = []
        while pulled := await self._puller.fetch(100, wait):
            await self._acknowledge(pulled)
            steps += [hint.delivered.body.step_id for hint in pulled]
        return steps

    async def _acknowledge(self, pulled: Sequence[Pulled[StepReady]]) -> None:
        await asyncio.gather(*(hint.ack() for hint in pulled))

    async def close(self) -> None:
        await self._puller.close()


@pytest.fixture
async def hints(deps: Deps, worker_bus: Bus) -> AsyncIterator[Hints]:
    listening = Hints(worker_bus, deps.relay)
    await listening.heard()
    yield listening
    await listening.close()


@pytest.fixture
def reaper(deps: Deps) -> Reaper:
    return Reaper(deps, interval=1)


async def submit(deps: Deps, *names: str, edges: Sequence[tuple[str, str]] = ()) -> None:
    await submit_job(deps, SubmitJob(pipeline_config=definition(names, edges)))


async def test_only_ready_steps_are_hinted_at(deps: Deps, hints: Hints) -> None:
    await submit(deps, "a", "b", "c", edges=[("a", "c")])
    assert len(await hints.heard()) == 2


async def test_a_lost_hint_is_sent_again_and_then_less_and_less_often(
    deps: Deps, hints: Hints, reaper: Reaper, database: Database
) -> None:
    await submit(deps, "a")
    assert await reaper.repeat_hints() == 0, "it has not been given the time to be claimed"
    (step_id,) = await hints.heard()
    for expected in (0.3, 0.6, 1.2):
        await pass_time(database)
        assert await reaper.repeat_hints() == 1
        assert await pause(database) == pytest.approx(expected, abs=0.1)
        assert await hints.heard() == [step_id]


async def test_a_claimed_step_is_hinted_at_no_more(
    deps: Deps, hints: Hints, reaper: Reaper, database: Database
) -> None:
    await submit(deps, "a")
    await claim_step(deps, ClaimStep(worker_id="w", agent_classes=["DatasetAgent"]))
    await pass_time(database)
    assert await reaper.repeat_hints() == 0


async def test_a_step_that_must_wait_is_hinted_at_once_it_may_be_claimed(
    deps: Deps, hints: Hints, reaper: Reaper, database: Database
) -> None:
    await submit(deps, "a")
    await hints.heard()
    step = (await claim_step(deps, ClaimStep(worker_id="w", agent_classes=["DatasetAgent"]))).step
    assert step
    failed = StepFailed(code="x", message="x", retryable=True)
    await finish_step(deps, FinishStep(step_id=step.step_id, fence=step.fence, result=failed))
    assert await hints.heard() == []
    await asyncio.sleep(0.06)
    assert await reaper.repeat_hints() == 1
    assert await hints.heard() == [step.step_id]


async def test_two_reapers_share_the_hints(deps: Deps, hints: Hints, database: Database) -> None:
    await submit(deps, *(f"s{i}" for i in range(50)))
    await hints.heard()
    await pass_time(database)
    sent = await asyncio.gather(*(Reaper(deps, interval=1).repeat_hints() for _ in range(4)))
    assert sum(sent) == 50
    assert len(set(await hints.heard())) == 50


async def pass_time(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE steps SET hint_at = clock_timestamp() WHERE status = 'ready'")


async def pause(database: Database) -> float:
    async with database.connection() as connection:
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM hint_at - clock_timestamp())::float8 FROM steps"
        )
        return seconds
