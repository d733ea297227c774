"""Runs: each that was accepted ends once, as it should, and heeds what it is told meanwhile."""

from collections import Counter, defaultdict

from tests.chaos.checks.findings import Findings, unless
from tests.chaos.history import ENDED, History

_CLOCK_MARGIN = 0.05


def every_accepted_run_ends(history: History) -> Findings:
    states = {row.run_id: row.status for row in history.runs}
    for run_id in {accepted.run_id for accepted in history.accepted}:
        yield unless(states.get(run_id) in ENDED, f"run {run_id} was accepted and is {states.get(run_id, 'lost')}")
    jobs = {row.key: row.status for row in history.jobs}
    for key, job_id in history.jobs_accepted:
        yield unless(jobs.get(key) in ENDED, f"{job_id} was accepted and is {jobs.get(key, 'lost')}")


def every_run_ends_as_it_should(history: History) -> Findings:
    """Nothing that the adversary does is a reason to fail: whatever it breaks is tried again."""
    errors = {row.key: f": {row.error}" for row in history.runs if row.error is not None}
    for key, status in _states(history):
        wanted = history.expected.get(key)
        should = " or ".join(sorted(wanted or {"a run that somebody asked for"}))
        yield unless(
            wanted is not None and status in wanted,
            f"{key} ended as {status} and not as {should}{errors.get(key, '')}",
        )


def starts_under_one_key_make_one_run(history: History) -> Findings:
    told: defaultdict[str, set[object]] = defaultdict(set)
    for accepted in history.accepted:
        told[accepted.key].add(accepted.run_id)
    for key, job_id in history.jobs_accepted:
        told[key].add(job_id)
    kept: defaultdict[str, int] = defaultdict(int)
    for key, _ in _states(history):
        kept[key] += 1
    for key, ids in told.items():
        yield unless(len(ids) == 1, f"{key} was answered with {sorted(map(str, ids))}")
        yield unless(kept[key] == 1, f"{key} made {kept[key]} runs")


def schedules_start_one_run_each_time(history: History) -> Findings:
    """Whatever is away when a start is due: it is made up for, and by one replica."""
    started = Counter(row.key for row in history.runs)
    for key in history.due:
        yield unless(started[key] == 1, f"{key} was due and made {started[key]} runs")


def _states(history: History) -> list[tuple[str, str]]:
    """Key and state of every run, every job and every task."""
    return [*((row.key, row.status) for row in history.runs), *((row.key, row.status) for row in history.jobs)]


def an_end_is_for_good(history: History) -> Findings:
    """Each observer, and all of them together, ever saw a run in one end only, and in no other state after it."""
    ends: defaultdict[int, set[str]] = defaultdict(set)
    for row in history.runs:
        if row.status in ENDED:
            ends[row.run_id].add(row.status)
    last: dict[tuple[str, int], str] = {}
    for sight in history.sights:
        before = last.get((sight.who, sight.run_id))
        last[sight.who, sight.run_id] = sight.status
        if sight.status in ENDED:
            ends[sight.run_id].add(sight.status)
        yield unless(
            before not in ENDED or before == sight.status,
            f"{sight.who} saw run {sight.run_id} {before} and then {sight.status}",
        )
    for run_id, seen in ends.items():
        yield unless(len(seen) == 1, f"run {run_id} was seen to end as {sorted(seen)}")


def cancelled_runs_stay_cancelled(history: History) -> Findings:
    """Whoever was told that a run is cancelled is right for ever, and no watcher hears of its completion."""
    completed = {told.run_id for told in history.told if told.type == "workflow_completed"}
    for steered in history.steered:
        if steered.act != "cancel" or steered.status != 200:
            continue
        row = history.run(steered.run_id)
        state = row.status if row is not None else "lost"
        yield unless(state == "cancelled", f"run {steered.run_id} was cancelled and is {state}")
        yield unless(steered.run_id not in completed, f"run {steered.run_id} was cancelled and its completion was told")


def paused_runs_start_nothing(history: History) -> Findings:
    """Between the answer to a pause and the wish to go on no step is claimed for the first time."""
    for steered in history.steered:
        if steered.act != "pause" or steered.status != 200:
            continue
        resumed = min(
            (
                other.asked
                for other in history.steered
                if other.run_id == steered.run_id and other.act == "resume" and other.asked >= steered.answered
            ),
            default=float("inf"),
        )
        row = history.run(steered.run_id)
        for step in row.steps if row is not None else ():
            begun = step.started_at
            yield unless(
                begun is None or not steered.answered + _CLOCK_MARGIN < begun < resumed - _CLOCK_MARGIN,
                f"{step.name} of run {steered.run_id} was begun while the run was paused",
            )


def approvals_are_waited_for(history: History) -> Findings:
    """No step that needs a person's word begins before anybody gave it."""
    asked = {steered.run_id: steered.asked for steered in reversed(history.steered) if steered.act == "approve"}
    for row in history.runs:
        for step in row.steps:
            if step.name == _APPROVED_STEP and step.started_at is not None:
                word = asked.get(row.run_id, float("inf"))
                yield unless(
                    step.started_at > word - _CLOCK_MARGIN, f"{step.name} of run {row.run_id} did not wait for approval"
                )


_APPROVED_STEP = "publish"
