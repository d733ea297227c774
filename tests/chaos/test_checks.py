"""Every check of a campaign holds for a history in which all went well, and complains where something did not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.checks import CHECKS, Verdict, judge
from tests.chaos.history import (
    Accepted,
    Bill,
    Finish,
    History,
    Hit,
    JobRow,
    JobStep,
    Reading,
    RunRow,
    Serving,
    Sight,
    Steered,
    StepRow,
    StepSight,
    Told,
)
from tests.chaos.plan import Fleet, plan

Spoil = Callable[[History], object]


def sound() -> History:
    """A run of two payloads, of which a person lets the second go ahead; one that is cancelled half-way; and a job."""
    one = StepRow(0, 11, "one", "completed", (), "#0# A", "<<k1/one>>", started_at=10.0)
    publish = StepRow(1, 12, "publish", "completed", (0,), "#1# B", "<<k1/publish>> #0# A", started_at=30.0)
    kept = StepRow(0, 11, "one", "completed", (), "#2# C", "<<k2/one>>", started_at=10.0)
    dropped = StepRow(1, 12, "publish", "cancelled", (0,))
    events = [
        (10, 1, "execution_progress", 11, None),
        (11, 1, "payload_completed", 11, "#0# A"),
        (20, 2, "payload_completed", 11, "#2# C"),
        (30, 2, "workflow_failed", None, None),
        (40, 1, "payload_completed", 12, "#1# B"),
        (41, 1, "workflow_completed", None, None),
    ]
    return History(
        hits=[Hit(1, "kill", "llm_router-0", 50.0, 52.0)],
        expected={"k1": frozenset({"completed"}), "k2": frozenset({"cancelled"}), "j1": frozenset({"completed"})},
        accepted=[Accepted("k1", 1, 9.0), Accepted("k1", 1, 9.1), Accepted("k2", 2, 9.0)],
        jobs_accepted=[("j1", "job_j")],
        due=["k1"],
        steered=[
            Steered(1, "pause", 12.0, 12.1, 200),
            Steered(1, "resume", 20.0, 20.1, 200),
            Steered(1, "approve", 25.0, 25.1, 200),
            Steered(2, "cancel", 13.0, 13.1, 200),
        ],
        sights=[
            Sight("caller", 1, "running", 10.0),
            Sight("caller", 1, "completed", 31.0),
            Sight("database", 2, "cancelled", 13.0),
        ],
        step_sights=[StepSight(1, "completed", "a"), StepSight(2, "cancelled", "")],
        readings=[Reading("caller", 1, 11, "#0# A"), Reading("caller", 1, 12, "#1# B")],
        told=[Told("watcher", *event) for event in events],
        servings=[
            Serving(0, "k1/one", 10.0, 10.5),
            Serving(1, "k1/publish", 30.0, 30.5),
            Serving(2, "k2/one", 10.0, 10.5),
            Serving(3, "k2/publish", 12.0, None),
        ],
        finishes=[Finish(5, 1, 100, recorded=True), Finish(5, 2, 101, recorded=False)],
        bills=[Bill("a", "k1/one"), Bill("b", "k1/publish"), Bill("c", "k2/one")],
        runs=[RunRow(1, "k1", "k1", "completed", (one, publish)), RunRow(2, "k2", "k2", "cancelled", (kept, dropped))],
        jobs=[JobRow("j", "j1", "completed", (JobStep(5, "completed", 100),))],
        left={"rows in the outbox": 0},
    )


def change_run(history: History, number: int, **changes: object) -> None:
    history.runs[number] = replace(history.runs[number], **changes)  # type: ignore[arg-type]


def change_step(history: History, run: int, position: int, **changes: object) -> None:
    steps = list(history.runs[run].steps)
    steps[position] = replace(steps[position], **changes)  # type: ignore[arg-type]
    change_run(history, run, steps=tuple(steps))


def tell(history: History, *event: object) -> None:
    history.told.append(Told("watcher", *event))  # type: ignore[arg-type]


SPOILT: list[tuple[str, str, Spoil]] = [
    ("every accepted run ends", "a run is lost", lambda h: h.runs.pop(0)),
    ("every accepted run ends", "a run is stuck", lambda h: change_run(h, 0, status="active")),
    ("every accepted run ends", "a job is lost", lambda h: h.jobs.clear()),
    ("every run ends as it should", "a run fails", lambda h: change_run(h, 0, status="failed")),
    ("every run ends as it should", "a run nobody wanted", lambda h: h.runs.append(RunRow(3, "k3", "k3", "completed"))),
    ("starts under one key make one run", "two answers", lambda h: h.accepted.append(Accepted("k1", 3, 9.2))),
    ("starts under one key make one run", "two runs", lambda h: h.runs.append(replace(h.runs[0], run_id=3))),
    ("schedules start one run each time", "a start is lost", lambda h: h.due.append("k9")),
    ("schedules start one run each time", "two runs", lambda h: h.runs.append(replace(h.runs[0], run_id=3))),
    ("an end is for good", "it goes on", lambda h: h.sights.append(Sight("caller", 1, "running", 32.0))),
    ("an end is for good", "another end", lambda h: h.sights.append(Sight("other", 1, "failed", 30.0))),
    ("cancelled runs stay cancelled", "it completes", lambda h: change_run(h, 1, status="completed")),
    ("cancelled runs stay cancelled", "its completion is told", lambda h: tell(h, 50, 2, "workflow_completed")),
    ("paused runs start nothing", "a step is begun", lambda h: change_step(h, 0, 1, started_at=15.0)),
    ("approvals are waited for", "nobody approved", lambda h: h.steered.pop(2)),
    ("approvals are waited for", "it was begun before", lambda h: change_step(h, 0, 1, started_at=24.0)),
    ("each step has one result", "a caller read another", lambda h: h.readings.append(Reading("c", 1, 11, "#9# Z"))),
    ("each step has one result", "a watcher heard another", lambda h: tell(h, 50, 1, "payload_completed", 11, "Z")),
    ("each step has one result", "a response is lost", lambda h: change_step(h, 0, 0, content=None)),
    ("each step has one result", "a step is left out", lambda h: change_step(h, 0, 1, status="skipped", content=None)),
    ("results never change", "it goes on", lambda h: h.step_sights.append(StepSight(2, "completed", "b"))),
    ("results never change", "another output", lambda h: h.step_sights.append(StepSight(1, "completed", "b"))),
    ("results are what engines served", "of another run", lambda h: change_step(h, 0, 0, content="#2# A")),
    (
        "results are what engines served",
        "of a run, for a task",
        lambda h: h.jobs.append(JobRow("t", "t1", "completed", (JobStep(7, "completed", None, "#0# A"),))),
    ),
    ("results are what engines served", "made up", lambda h: change_step(h, 0, 0, content="A")),
    (
        "later steps saw recorded results",
        "of a dropped result",
        lambda h: change_step(h, 0, 1, prompt="<<k1/publish>> Z"),
    ),
    ("job results count by fence", "two count", lambda h: h.finishes.append(Finish(5, 2, 102, recorded=True))),
    ("completions are billed once", "served twice", lambda h: h.servings.append(Serving(4, "k1/one", 20.0, 20.5))),
    ("bills match what was served", "recorded twice", lambda h: h.bills.append(Bill("d", "k1/one"))),
    ("bills match what was served", "not recorded", lambda h: h.bills.pop()),
    ("bills match what was served", "never served", lambda h: h.bills.append(Bill("d", "k9/one"))),
    ("watchers miss nothing", "a result", lambda h: h.told.pop(1)),
    ("watchers miss nothing", "the end", lambda h: h.told.pop()),
    ("watchers miss nothing", "a result comes twice", lambda h: h.told.insert(2, replace(h.told[1], id=12))),
    ("watchers miss nothing", "a whole run", lambda h: h.told.__delitem__(slice(2, 4))),
    ("events come in order", "the same again", lambda h: h.told.append(h.told[-1])),
    ("events come in order", "after the end", lambda h: tell(h, 50, 1, "execution_progress", 12)),
    ("events come in order", "progress after the response", lambda h: h.told.insert(2, replace(h.told[0], id=12))),
    ("events come in order", "before what it is made of", lambda h: h.told.insert(0, replace(h.told[4], id=1))),
    ("nothing is left", "an open step", lambda h: h.left.update({"open steps": 2})),
    ("no service crashed", "a crash", lambda h: h.crashes.append("handler_crashed")),
]


def test_all_checks_hold_for_a_history_in_which_all_went_well() -> None:
    verdicts = judge(sound())
    assert [verdict for verdict in verdicts if verdict.complaints] == []
    assert [verdict.name for verdict in verdicts if not verdict.examined] == [], "each has looked at something"


@pytest.mark.parametrize(("name", "what", "spoil"), SPOILT, ids=[f"{name}: {what}" for name, what, _ in SPOILT])
def test_a_check_complains(name: str, what: str, spoil: Spoil) -> None:
    history = sound()
    spoil(history)
    assert _named(judge(history), name).complaints, what


def test_each_check_is_known_to_complain() -> None:
    assert {check.__name__.replace("_", " ") for check in CHECKS} == {name for name, _, _ in SPOILT}


def test_a_crash_of_a_router_in_a_call_excuses_a_second_completion_and_a_lost_record_and_no_other_does() -> None:
    history = sound()
    history.servings.append(Serving(4, "k1/one", 20.0, 20.5))
    for target, holds in (("llm_router-1", True), ("orchestrator-0", False)):
        history.hits[0] = Hit(1, "stop", target, 10.2, 14.0)
        verdicts = judge(history)
        assert bool(_named(verdicts, "completions are billed once").complaints) is not holds
        assert bool(_named(verdicts, "bills match what was served").complaints) is not holds


def test_a_completion_that_could_not_be_kept_is_lost_with_its_router() -> None:
    history = sound()
    history.servings.append(Serving(4, "k1/one", 20.0, 20.5))
    history.hits = [Hit(1, "kill", "postgres", 10.4, 15.0), Hit(2, "kill", "llm_router-0", 14.0, 18.0)]
    assert not _named(judge(history), "completions are billed once").complaints
    history.hits.pop()
    assert _named(judge(history), "completions are billed once").complaints


def test_a_completion_whose_caller_left_in_the_last_moment_may_be_recorded_as_left() -> None:
    history = sound()
    history.bills[0] = replace(history.bills[0], completed=False)
    assert not _named(judge(history), "bills match what was served").complaints


def test_a_seed_says_what_is_done_to_whom_and_when() -> None:
    deeds = plan(7, 120, Fleet())
    assert deeds == plan(7, 120, Fleet())
    assert deeds != plan(8, 120, Fleet())
    assert {deed.kind for deed in deeds} == {"kill", "stop", "quit", "restart", "purge", "repeat"}
    assert all(0 < deed.at < 120 for deed in deeds)


def _named(verdicts: list[Verdict], name: str) -> Verdict:
    return next(verdict for verdict in verdicts if verdict.name == name)
