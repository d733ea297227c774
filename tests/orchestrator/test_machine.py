"""The state machine alone: each thing that can happen to a run. `test_simulation.py` puts them in every order."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.orchestrator import StepStatus
from orchestrator.domain.failures import LEASE_ENDED
from orchestrator.domain.machine import (
    MOST_PARTS,
    Part,
    Run,
    Step,
    Transition,
    approve,
    ask,
    cancel,
    fail,
    interrupt,
    pause,
    reject,
    release,
    resume,
    split,
    succeed,
)
from tests.orchestrator.simulation import POLICY


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


def test_an_attempt_that_was_cut_off_does_not_count_until_that_has_happened_too_often() -> None:
    run = run_of(set(), running={0}, max_attempts=1)
    transition = interrupt(run, run.steps[0], LEASE_ENDED, most=1, delay=3)
    (again,) = transition.changed
    assert (again.status, again.attempt, again.interruptions, again.delay) == ("ready", 0, 1, 3)
    assert (transition.ended, transition.failure) == (None, LEASE_ENDED)
    step = replace(run.steps[0], interruptions=1)
    assert interrupt(run, step, LEASE_ENDED, most=1, delay=3).ended == "failed"


def test_cancelling_ends_the_run_and_all_but_its_running_steps() -> None:
    run = run_of(set(), set(), {0}, running={0})
    transition = cancel(run)
    assert (changes(transition), transition.ended) == ({"s1": "cancelled", "s2": "cancelled"}, "cancelled")


def test_pausing_holds_back_what_is_ready_and_leaves_alone_what_runs_or_waits() -> None:
    run = run_of(set(), set(), {0}, running={0})
    transition = pause(run)
    assert (changes(transition), transition.paused) == ({"s1": "paused"}, True)


def test_what_becomes_ready_in_a_paused_run_is_paused() -> None:
    run = replace(run_of(set(), {0}, running={0}), paused=True)
    assert changes(succeed(run, run.steps[0], {})) == {"s0": "completed", "s1": "paused"}
    assert changes(fail(run, run.steps[0], LEASE_ENDED, retryable=True, delay=1)) == {"s0": "paused"}
    assert changes(release(run, run.steps[0])) == {"s0": "paused"}


def test_resuming_makes_ready_what_was_paused() -> None:
    run = run_of(set(), set(), {0}, running={0})
    paused = replace(
        run, paused=True, steps={step.position: step for step in (*run.steps.values(), *pause(run).changed)}
    )
    transition = resume(paused)
    assert (changes(transition), transition.paused) == ({"s1": "ready"}, False)


def test_cancelling_a_paused_run_ends_its_paused_steps() -> None:
    run = run_of(set())
    paused = replace(run, paused=True, steps={0: replace(run.steps[0], status="paused")})
    assert changes(cancel(paused)) == {"s0": "cancelled"}


def asking(run: Run, position: int, **changed: Any) -> Run:
    """The run, one of whose steps needs a person's approval."""
    step = replace(run.steps[position], approval=True, **changed)
    return replace(run, steps={**run.steps, position: step})


def test_a_person_is_asked_when_the_step_is_claimed_and_that_is_no_attempt() -> None:
    run = asking(run_of(set(), {0}, running={0}), 0)
    (step,) = ask(run, run.steps[0]).changed
    assert (step.status, step.asked, step.approval, step.attempt) == ("paused", True, True, 0)
    assert changes(ask(replace(run, status="cancelled"), run.steps[0])) == {"s0": "cancelled"}


def test_approval_lets_a_step_go_ahead_when_it_was_asked_for_and_the_run_is_not_paused() -> None:
    run = asking(run_of(set(), {0}), 1)
    assert changes(approve(run, run.steps[1])) == {"s1": "waiting"}
    asked = replace(run.steps[1], status="paused", asked=True)
    (approved,) = approve(run, asked).changed
    assert (approved.status, approved.asked, approved.approval) == ("ready", False, False)
    assert changes(approve(replace(run, paused=True), asked)) == {"s1": "paused"}


def test_a_resumed_run_still_waits_for_whom_it_has_asked() -> None:
    run = asking(asking(run_of(set(), set()), 0, status="paused", asked=True), 1, status="paused")
    assert changes(resume(replace(run, paused=True))) == {"s1": "ready"}


def test_a_step_that_is_rejected_fails_the_run() -> None:
    run = asking(run_of(set(), {0}), 0, status="paused", asked=True)
    transition = reject(run, run.steps[0], LEASE_ENDED)
    assert (changes(transition), transition.ended) == ({"s0": "failed", "s1": "skipped"}, "failed")


def split_run(parts: int, at_once: int, **changed: StepStatus) -> Run:
    """A run whose first step was split, and a second that needs it. `changed` are statuses of parts by name."""
    run = run_of(set(), {0}, running={0})
    transition = split(run, run.steps[0], [Part(f"p{number}", {}) for number in range(parts)], at_once)
    made = {
        new.position: Step(
            id=200 + number,
            position=new.position,
            name=new.part.name,
            kind="DatasetAgent",
            status=changed.get(new.part.name, new.status),
            attempt=1,
            max_attempts=1,
            fence=1,
            needs=frozenset(),
            waits_for=new.waits_for,
            part_of=0,
        )
        for number, new in enumerate(transition.made)
    }
    return replace(run, steps={0: transition.changed[0], 1: run.steps[1], **made})


def test_a_step_is_split_into_parts_of_which_so_many_may_be_claimed_at_once() -> None:
    run = run_of(set(), running={0})
    parts = [Part("a", {}), Part("kept", {}, {"n": 1}), Part("b", {}), Part("c", {})]
    transition = split(run, run.steps[0], parts, 2)
    assert [(new.part.name, new.status) for new in transition.made] == [
        ("a", "ready"),
        ("kept", "completed"),
        ("b", "ready"),
        ("c", "waiting"),
    ]
    (whole,) = transition.changed
    assert (whole.status, whole.waits_for, whole.parts, whole.attempt) == ("waiting", 3, 4, 0)
    assert changes(split(run, run.steps[0], [Part("kept", {}, {})], 2)) == {"s0": "ready"}
    assert changes(split(replace(run, status="cancelled"), run.steps[0], parts, 2)) == {"s0": "cancelled"}


def test_a_part_that_ends_lets_the_next_follow_and_the_last_lets_its_whole_join_them() -> None:
    run = split_run(3, 1, p0="running")
    first = run.steps[MOST_PARTS]
    assert changes(succeed(run, first, {})) == {"p0": "completed", "s0": "waiting", "p1": "ready"}
    failed = fail(run, first, LEASE_ENDED, retryable=True, delay=1)
    assert (changes(failed), failed.ended) == ({"p0": "failed", "s0": "waiting", "p1": "ready"}, None)
    run = split_run(1, 1, p0="running")
    assert changes(fail(run, run.steps[MOST_PARTS], LEASE_ENDED, retryable=False, delay=1)) == {
        "p0": "failed",
        "s0": "ready",
    }


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
