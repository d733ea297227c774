"""Paused runs as the database keeps them."""

from collections.abc import Callable

from common.database import Connection
from orchestrator.deps import Deps
from orchestrator.domain import machine
from orchestrator.domain.machine import Run, Transition
from orchestrator.domain.pipelines import Plan, PlannedStep
from orchestrator.domain.records import Claim, Submission
from orchestrator.engine.recording import record
from orchestrator.store import runs, steps

KIND = "task"


async def entered(deps: Deps) -> None:
    """A run of two steps, the second of which needs the first."""
    plan = Plan(
        (PlannedStep("a", "Pausable", {}, (), ()), PlannedStep("b", "Pausable", {}, (0,), (0,))),
        max_attempts=2,
        timeout_seconds=60,
        dataset_ids=frozenset(),
    )
    submission = Submission(
        kind=KIND, run_id="paused", owner="", idempotency_key=None, definition={}, options={}, traceparent=None
    )
    async with deps.database.transaction() as connection:
        await runs.insert(connection, submission, plan, hint_pause=5)


async def claimed(deps: Deps) -> Claim | None:
    async with deps.database.transaction() as connection:
        return await steps.claim(connection, worker_id="w", kinds=["Pausable"], lease=60)


async def changed(deps: Deps, decide: Callable[[Run], Transition]) -> Run:
    """The run after what `decide` makes of it."""
    async with deps.database.transaction() as connection:
        await record(connection, decide(await _run(connection)), deps.policy)
        return await _run(connection)


async def _run(connection: Connection) -> Run:
    run = await runs.lock(connection, KIND, "paused")
    assert run is not None
    return run


async def test_no_step_of_a_paused_run_is_claimed_until_it_is_resumed(deps: Deps) -> None:
    await entered(deps)
    assert (await changed(deps, machine.pause)).paused
    assert await claimed(deps) is None
    assert not (await changed(deps, machine.resume)).paused
    claim = await claimed(deps)
    assert claim is not None
    assert (claim.name, claim.attempt) == ("a", 1)


async def test_a_step_that_runs_when_its_run_is_paused_may_finish_and_its_successor_waits(deps: Deps) -> None:
    await entered(deps)
    assert await claimed(deps) is not None
    await changed(deps, machine.pause)
    run = await changed(deps, lambda run: machine.succeed(run, run.steps[0], {"text": "done"}))
    assert {step.name: step.status for step in run.steps.values()} == {"b": "paused"}
    assert await claimed(deps) is None
    await changed(deps, machine.resume)
    assert (claim := await claimed(deps)) is not None
    assert (claim.name, claim.inputs) == ("b", ({"text": "done"},))


async def test_a_paused_run_can_be_cancelled(deps: Deps) -> None:
    await entered(deps)
    await changed(deps, machine.pause)
    assert (await changed(deps, machine.cancel)).status == "cancelled"
    assert await claimed(deps) is None
