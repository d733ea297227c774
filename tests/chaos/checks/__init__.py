"""What must hold whatever the adversary does. Each check looks at a whole history and says what speaks against it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.checks.bills import bills_match_what_was_served, completions_are_billed_once
from tests.chaos.checks.findings import Findings, unless
from tests.chaos.checks.runs import (
    an_end_is_for_good,
    approvals_are_waited_for,
    cancelled_runs_stay_cancelled,
    every_accepted_run_ends,
    every_run_ends_as_it_should,
    paused_runs_start_nothing,
    schedules_start_one_run_each_time,
    starts_under_one_key_make_one_run,
)
from tests.chaos.checks.steps import (
    each_step_has_one_result,
    job_results_count_by_fence,
    later_steps_saw_recorded_results,
    results_are_what_engines_served,
    results_never_change,
)
from tests.chaos.checks.watching import events_come_in_order, watchers_miss_nothing
from tests.chaos.history import History

Check = Callable[[History], Findings]


@dataclass(frozen=True)
class Verdict:
    """How a check went: how much it looked at, and what speaks against the platform."""

    name: str
    examined: int
    complaints: tuple[str, ...]


def judge(history: History) -> list[Verdict]:
    verdicts = []
    for check in CHECKS:
        found = list(check(history))
        name = check.__name__.replace("_", " ")
        verdicts.append(Verdict(name, len(found), tuple(line for line in found if line is not None)))
    return verdicts


def nothing_is_left(history: History) -> Findings:
    for what, number in history.left.items():
        yield unless(number == 0, f"{number} {what}")


def no_service_crashed(history: History) -> Findings:
    """What goes wrong around it is something that a service expects, and says so."""
    if not history.crashes:
        yield None
    yield from history.crashes


CHECKS: tuple[Check, ...] = (
    every_accepted_run_ends,
    every_run_ends_as_it_should,
    starts_under_one_key_make_one_run,
    schedules_start_one_run_each_time,
    an_end_is_for_good,
    cancelled_runs_stay_cancelled,
    paused_runs_start_nothing,
    approvals_are_waited_for,
    each_step_has_one_result,
    results_never_change,
    results_are_what_engines_served,
    later_steps_saw_recorded_results,
    job_results_count_by_fence,
    completions_are_billed_once,
    bills_match_what_was_served,
    watchers_miss_nothing,
    events_come_in_order,
    nothing_is_left,
    no_service_crashed,
)
