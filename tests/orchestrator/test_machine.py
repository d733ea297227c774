"""The state machine alone: each thing that can happen to a run, then thousands of random histories."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from contracts.orchestrator import StepStatus
from orchestrator.domain.failures import LEASE_ENDED, Failure
from orchestrator.domain.machine import Run, RunStatus, Step, Transition, cancel, fail, release, succeed
from orchestrator.domain.policy import Policy

POLICY = Policy(
    lease=10,
    cancel_grace=10,
    retry_base=1,
    retry_cap=60,
    hint_pause=5,
    task_attempts=3,
    task_step_timeout=60,
    action_timeout=60,
)
OPEN: set[StepStatus] = {"waiting", "ready", "running"}


def run_of(*needs: set[int], running: set[int] = frozenset(), max_attempts: int = 2) -> Run:  # type: ignore[assignment]
    """An active run whose step `i` needs `needs[i]`; those of `running` have been claimed once."""
    steps = {}
    for position, before in enumerate(needs):
        claimed = position in running
        status: StepStatus = "running" if claimed else "waiting" if before else "ready"
        steps[position] = Step(
            id=100 + position,
            position=position,
            name=f"s{position}",
            kind="DatasetAgent",
            status=status,
            attempt=int(claimed),
            max_attempts=max_attempts,
            fence=int(claimed),
            needs=frozenset(before),
            waits_for=len(before),
        )
    return Run(1, "r", "job", "", "active", steps)


def changes(transition: Transition) -> dict[str, StepStatus]:
    return {step.name: step.status for step in transition.changed}


def test_success_makes_ready_what_waited_for_it_alone() -> None:
    run = run_of(set(), set(), {0}, {0, 1}, running={0, 1})
    transition = succeed(run, run.steps[0], {})
    assert changes(transition) == {"s0": "completed", "s2": "ready", "s3": "waiting"}
    assert [step.name for step in transition.made_ready] == ["s2"]
    assert transition.ended is None


def test_the_last_success_completes_the_run() -> None:
    run = run_of(set(), running={0})
    assert succeed(run, run.steps[0], {"a": 1}).ended == "completed"


def test_a_failure_that_may_pass_is_tried_again_later() -> None:
    run = run_of(set(), running={0})
    transition = fail(run, run.steps[0], LEASE_ENDED, retryable=True, delay=3)
    assert (changes(transition), transition.ended) == ({"s0": "ready"}, None)
    assert transition.changed[0].delay == 3


@pytest.mark.parametrize(("retryable", "max_attempts"), [(False, 2), (True, 1)])
def test_a_failure_for_good_fails_the_run_and_skips_what_had_not_started(retryable: bool, max_attempts: int) -> None:
    run = run_of(set(), set(), set(), {0}, running={0, 1}, max_attempts=max_attempts)
    transition = fail(run, run.steps[0], LEASE_ENDED, retryable=retryable, delay=3)
    assert changes(transition) == {"s0": "failed", "s2": "skipped", "s3": "skipped"}
    assert (transition.ended, transition.failure) == ("failed", LEASE_ENDED)


def test_a_released_step_is_ready_at_once_and_its_attempt_does_not_count() -> None:
    run = run_of(set(), running={0}, max_attempts=1)
    (step,) = release(run, run.steps[0]).changed
    assert (step.status, step.attempt, step.delay) == ("ready", 0, 0)


def test_cancelling_ends_the_run_and_all_but_its_running_steps() -> None:
    run = run_of(set(), set(), {0}, running={0})
    transition = cancel(run)
    assert (changes(transition), transition.ended) == ({"s1": "cancelled", "s2": "cancelled"}, "cancelled")


def test_in_an_ended_run_a_result_is_kept_and_changes_nothing_else() -> None:
    run = replace(run_of(set(), running={0}), status="cancelled")
    transition = succeed(run, run.steps[0], {"a": 1})
    assert (changes(transition), transition.ended, transition.output) == ({"s0": "completed"}, None, {"a": 1})


def test_in_an_ended_run_a_step_that_stops_is_cancelled_however_it_stops() -> None:
    run = replace(run_of(set(), running={0}), status="failed")
    step = run.steps[0]
    assert changes(release(run, step)) == {"s0": "cancelled"}
    assert changes(fail(run, step, LEASE_ENDED, retryable=True, delay=1)) == {"s0": "cancelled"}


def test_only_the_last_fence_holds_a_running_step() -> None:
    run = run_of(set(), set(), running={0})
    assert run.held(100, 1) is run.steps[0]
    assert run.held(100, 0) is None
    assert run.held(101, 0) is None
    assert run.held(7, 1) is None


def test_pauses_double_up_to_the_cap_and_chance_takes_up_to_a_half() -> None:
    assert [POLICY.pause_after(attempt, 0) for attempt in (1, 2, 3, 9, 10_000)] == [1, 2, 4, 60, 60]
    assert POLICY.pause_after(3, 1) == 2


# Random histories


@dataclass
class World:
    """A run as the database would hold it, what ever was recorded of it, and the claims that are out there."""

    run: Run
    all_steps: dict[int, Step]
    claims: list[tuple[int, int]]
    results: dict[int, int]

    @classmethod
    def make(cls, chance: random.Random) -> "World":
        size = chance.randint(1, 7)
        needs = [set(chance.sample(range(i), chance.randint(0, min(i, 3)))) for i in range(size)]
        run = run_of(*needs, max_attempts=chance.randint(1, 3))
        return cls(run, dict(run.steps), [], {})

    def keep(self, transition: Transition) -> None:
        for step in transition.changed:
            before = self.all_steps[step.position]
            assert before.status in OPEN, f"{before} ended, and changes to {step}"
            self.all_steps[step.position] = replace(step, delay=0)
            if step.status == "completed":
                self.results[step.id] = self.results.get(step.id, 0) + 1
        if transition.ended is not None:
            assert self.run.status == "active"
        status: RunStatus = transition.ended or self.run.status
        still_open = {position: step for position, step in self.all_steps.items() if step.status in OPEN}
        self.run = replace(self.run, status=status, steps=still_open)

    def claim(self, step: Step) -> None:
        claimed = replace(step, status="running", attempt=step.attempt + 1, fence=step.fence + 1)
        self.all_steps[step.position] = claimed
        self.run = replace(self.run, steps={**self.run.steps, step.position: claimed})
        self.claims.append((claimed.id, claimed.fence))

    def of_status(self, status: StepStatus) -> list[Step]:
        return [step for step in self.all_steps.values() if step.status == status]


def happens(world: World, chance: random.Random, *, may_cancel: bool) -> None:
    """One random event: a claim, a report by a worker present or past, a lease that ends, a cancel."""
    event = chance.choices(["claim", "finish", "expire", "cancel"], [6, 6, 2, 0.3 * may_cancel])[0]
    if event == "claim" and (ready := world.of_status("ready")):
        world.claim(chance.choice(ready))
    elif event == "finish" and world.claims:
        # Claims stay in the list: a worker that lost its step reports all the same, and some report twice.
        step = world.run.held(*chance.choice(world.claims))
        if step is not None:
            world.keep(outcome(world.run, step, chance))
    elif event == "expire" and (running := world.of_status("running")):
        world.keep(fail(world.run, chance.choice(running), LEASE_ENDED, retryable=True, delay=chance.random()))
    elif event == "cancel" and world.run.status == "active":
        world.keep(cancel(world.run))


def outcome(run: Run, step: Step, chance: random.Random) -> Transition:
    match chance.choices(["success", "failure", "release"], [8, 2, 1])[0]:
        case "success":
            return succeed(run, step, {})
        case "failure":
            return fail(run, step, LEASE_ENDED, retryable=chance.random() < 0.8, delay=chance.random())
        case _:
            return release(run, step)


def broken(world: World) -> Iterator[str]:
    """Every invariant that does not hold."""
    run, steps = world.run, world.all_steps
    statuses = {step.status for step in steps.values()}
    if run.status == "active" and not statuses & {"ready", "running"}:
        yield "an active run that nothing can move"
    if run.status != "active" and statuses & {"ready", "waiting"}:
        yield "an ended run with steps to come"
    if run.status == "completed" and statuses != {"completed"}:
        yield "a completed run with steps that are not"
    if run.status == "active" and statuses & {"failed", "cancelled", "skipped"}:
        yield "an active run with steps that ended badly"
    for step in steps.values():
        missing = sum(steps[need].status != "completed" for need in step.needs)
        if step.status in {"ready", "running", "completed", "failed"} and missing:
            yield f"{step} started before what it needs"
        if step.status in OPEN and run.status == "active" and step.waits_for != missing:
            yield f"{step} has lost count"
        if not 0 <= step.attempt <= step.max_attempts:
            yield f"{step} has been tried too often"
    if any(count != 1 for count in world.results.values()):
        yield "a result recorded twice"


@pytest.mark.parametrize("seed", range(8))
def test_random_histories_keep_every_promise_and_come_to_an_end(seed: int) -> None:
    chance = random.Random(seed)
    events = 0
    for _ in range(150):
        world = World.make(chance)
        for _ in range(chance.randint(1, 60)):
            happens(world, chance, may_cancel=True)
            events += 1
            assert not list(broken(world)), f"seed {seed}: {list(broken(world))}"
        drain(world, chance)
        assert world.run.status != "active", f"seed {seed}"
        assert not world.run.steps, f"seed {seed}"
    assert events > 1000


def drain(world: World, chance: random.Random) -> None:
    """Workers that never fail again, and leases that end where a worker is gone."""
    while world.run.steps:
        for step in world.of_status("ready"):
            world.claim(step)
        for step in world.of_status("running"):
            if chance.random() < 0.7:
                world.keep(succeed(world.run, step, {}))
            else:
                world.keep(fail(world.run, step, Failure(LEASE_ENDED.code, "x"), retryable=True, delay=0))
            assert not list(broken(world))
