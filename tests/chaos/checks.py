"""What must hold whatever the adversary does. Each check looks at a whole history and says what speaks against it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.engine import numbers_in
from tests.chaos.history import ENDED, LAST_EVENTS, History, Hit, RunRow, Serving, Told

Findings = Iterator[str | None]
"""One for each thing that was looked at: what is wrong with it, or None."""
Check = Callable[[History], Findings]

_CALL_MARGIN = 2.0
"""Seconds after an engine's answer within which the router that asked has read, kept and recorded it."""
_KEEP_MARGIN = 3.0
"""Seconds after Postgres or NATS is back within which it has kept what it could not keep before."""
_CLOCK_MARGIN = 0.05
_SERVERS = ("postgres", "nats")


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


# Runs


def every_accepted_run_ends(history: History) -> Findings:
    states = {row.run_id: row.status for row in history.runs}
    for run_id in {accepted.run_id for accepted in history.accepted}:
        yield _unless(states.get(run_id) in ENDED, f"run {run_id} was accepted and is {states.get(run_id, 'lost')}")
    jobs = {row.key: row.status for row in history.jobs}
    for key, job_id in history.jobs_accepted:
        yield _unless(jobs.get(key) in ENDED, f"{job_id} was accepted and is {jobs.get(key, 'lost')}")


def every_run_ends_as_it_should(history: History) -> Findings:
    """Nothing that the adversary does is a reason to fail: whatever it breaks is tried again."""
    errors = {row.key: f": {row.error}" for row in history.runs if row.error is not None}
    for key, status in _states(history):
        wanted = history.expected.get(key)
        should = " or ".join(sorted(wanted or {"a run that somebody asked for"}))
        yield _unless(
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
        yield _unless(len(ids) == 1, f"{key} was answered with {sorted(map(str, ids))}")
        yield _unless(kept[key] == 1, f"{key} made {kept[key]} runs")


def _states(history: History) -> list[tuple[str, str]]:
    """Key and state of every run and every job."""
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
        yield _unless(
            before not in ENDED or before == sight.status,
            f"{sight.who} saw run {sight.run_id} {before} and then {sight.status}",
        )
    for run_id, seen in ends.items():
        yield _unless(len(seen) == 1, f"run {run_id} was seen to end as {sorted(seen)}")


def cancelled_runs_stay_cancelled(history: History) -> Findings:
    """Whoever was told that a run is cancelled is right for ever, and no watcher hears of its completion."""
    completed = {told.run_id for told in history.told if told.type == "workflow_completed"}
    for steered in history.steered:
        if steered.act != "cancel" or steered.status != 200:
            continue
        row = history.run(steered.run_id)
        state = row.status if row is not None else "lost"
        yield _unless(state == "cancelled", f"run {steered.run_id} was cancelled and is {state}")
        yield _unless(
            steered.run_id not in completed, f"run {steered.run_id} was cancelled and its completion was told"
        )


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
            yield _unless(
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
                yield _unless(
                    step.started_at > word - _CLOCK_MARGIN, f"{step.name} of run {row.run_id} did not wait for approval"
                )


_APPROVED_STEP = "publish"


# Steps


def each_step_has_one_result(history: History) -> Findings:
    """The response that callers and watchers were told, whenever, is the one that is recorded."""
    told: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for reading in history.readings:
        told[reading.run_id, reading.payload_id].add(reading.content)
    for event in history.told:
        if event.type == "payload_completed" and event.payload_id is not None and event.content is not None:
            told[event.run_id, event.payload_id].add(event.content)
    for row in history.runs:
        for step in row.steps:
            where = f"{step.name} of run {row.run_id}"
            contents = told.get((row.run_id, step.payload_id), set())
            yield _unless(
                (step.status == "completed") == (step.content is not None),
                f"{where} is {step.status} with {step.content!r}",
            )
            yield _unless(
                contents <= {step.content}, f"{where} has {step.content!r} and was told as {sorted(contents)}"
            )
            yield _unless(
                row.status != "completed" or step.status == "completed",
                f"{where} is {step.status} though the run has completed",
            )


def results_never_change(history: History) -> Findings:
    """A step that was seen to have ended is never seen otherwise, nor with another output."""
    first: dict[int, tuple[str, str]] = {}
    for sight in history.step_sights:
        known = first.setdefault(sight.step_id, (sight.status, sight.digest))
        yield _unless(known == (sight.status, sight.digest), f"step {sight.step_id} was {known[0]} and changed")


def results_are_what_engines_served(history: History) -> Findings:
    """Each result is made of completions that an engine served for that very payload of that very run."""
    tags = {serving.number: serving.tag for serving in history.servings}
    for row in history.runs:
        for step in row.steps:
            if step.content and not step.kept:
                found = [tags.get(number, "nothing") for number in numbers_in(step.content)]
                wanted = f"{row.tag}/"
                yield _unless(
                    bool(found) and all(tag.startswith(wanted) for tag in found),
                    f"{step.name} of run {row.run_id} holds completions for {found}",
                )


def later_steps_saw_recorded_results(history: History) -> Findings:
    """The prompt of a step holds the recorded responses of those it needs, and no others that came and were dropped."""
    for row in history.runs:
        steps = {step.position: step for step in row.steps}
        for step in row.steps:
            if not step.prompt or step.kept:
                # What is skipped asks nobody.
                continue
            for position in step.needs:
                content = steps[position].content
                yield _unless(
                    content is not None and content in step.prompt,
                    f"{step.name} of run {row.run_id} was asked without what {steps[position].name} answered",
                )


def job_results_count_by_fence(history: History) -> Findings:
    """The output of a job's step is the one report that was said to count; a report that came too late does not."""
    counted: defaultdict[int, set[int]] = defaultdict(set)
    made: defaultdict[int, set[int]] = defaultdict(set)
    for finish in history.finishes:
        made[finish.step_id].add(finish.rows)
        if finish.recorded:
            counted[finish.step_id].add(finish.rows)
    for job in history.jobs:
        for step in job.steps:
            if step.rows is None:
                continue
            told = counted[step.step_id]
            yield _unless(
                told <= {step.rows}, f"step {step.step_id} of {job.job_id} has {step.rows} and {told} counted"
            )


# Bills


def completions_are_billed_once(history: History) -> Findings:
    """An engine serves each completion once for each run that asks, and again if a router was hit in the call.

    Or if who asked was, and the engine had said its last word before it heard that nobody listens: then the completion
    is recorded as left.
    """
    billed = Counter(bill.tag for bill in history.bills if bill.completed)
    left = Counter(bill.tag for bill in history.bills if not bill.completed)
    for tag, served in _served(history).items():
        allowed = _runs_that_ask(history, tag)
        crashed = sum(_hit_during(history, serving) for serving in served)
        yield _unless(
            max(billed[tag], len(served) - left[tag]) <= allowed + crashed,
            f"{tag} was served {len(served)} times for {allowed} runs, {crashed} of them in a crash:"
            f" {[round(serving.ended or 0, 2) for serving in served]}",
        )


def bills_match_what_was_served(history: History) -> Findings:
    """Each completion that an engine served is recorded once; one may be missing whose router was hit meanwhile.

    One whose caller left while its last words were on their way may be recorded as left.
    """
    billed = Counter(bill.tag for bill in history.bills if bill.completed)
    left = Counter(bill.tag for bill in history.bills if not bill.completed)
    served = _served(history)
    for tag in served.keys() | billed.keys():
        lost = sum(_hit_during(history, serving) for serving in served.get(tag, ()))
        number = len(served.get(tag, ()))
        yield _unless(
            number - lost <= billed[tag] + left[tag] and billed[tag] <= number,
            f"{tag} was served {number} times, {lost} of them in a crash, and is recorded {billed[tag]} times",
        )


def _served(history: History) -> dict[str, list[Serving]]:
    served: defaultdict[str, list[Serving]] = defaultdict(list)
    for serving in history.servings:
        if serving.ended is not None:
            served[serving.tag].append(serving)
    return served


def _runs_that_ask(history: History, tag: str) -> int:
    """How many runs may have this asked: a rerun asks again for what it does not keep."""
    prefix, _, mark = tag.partition("/")
    name = mark.partition("/")[0].partition("!")[0]
    return sum(
        row.tag == prefix and any(step.name == name and not step.kept for step in row.steps) for row in history.runs
    )


def _hit_during(history: History, serving: Serving) -> bool:
    """Whether a router was hit while one of them alone knew of this completion.

    That is until it has kept and recorded it, which it cannot while Postgres or NATS is away.
    """
    assert serving.ended is not None
    known = serving.ended + _CALL_MARGIN
    for hit in sorted(history.hits, key=lambda hit: hit.began):
        if hit.target in _SERVERS and hit.began <= known:
            known = max(known, hit.ended + _KEEP_MARGIN)
    return any(_is_a_routers(hit) and hit.began <= known and hit.ended >= serving.began for hit in history.hits)


def _is_a_routers(hit: Hit) -> bool:
    return hit.target.startswith("llm_router")


# Watchers


def watchers_miss_nothing(history: History) -> Findings:
    """Each watcher heard of every result and every end of the runs it watched, and heard it once."""
    for who, events in _by_watcher(history).items():
        wanted = {event.run_id for event in events} if who.startswith("follower") else {r.run_id for r in history.runs}
        heard: defaultdict[int, list[Told]] = defaultdict(list)
        for event in events:
            heard[event.run_id].append(event)
        for row in history.runs:
            if row.run_id in wanted and row.status in ENDED:
                yield _missed(who, row, heard[row.run_id])


def _missed(who: str, row: RunRow, events: list[Told]) -> str | None:
    ends = [event.type for event in events if event.type in LAST_EVENTS]
    wanted = "workflow_completed" if row.status == "completed" else "workflow_failed"
    if ends != [wanted]:
        return f"{who} heard {ends} of the end of run {row.run_id}, which is {row.status}"
    told = [event.payload_id for event in events if event.type == "payload_completed"]
    recorded = {step.payload_id for step in row.steps if step.status == "completed" and not step.kept}
    if len(set(told)) != len(told):
        return f"{who} heard of a payload of run {row.run_id} more than once: {told}"
    # What was still being answered when a run was cancelled or failed is recorded, but its last message was the last.
    if not set(told) <= recorded or (row.status == "completed" and set(told) != recorded):
        return f"{who} heard of {sorted(map(str, told))} of run {row.run_id}, recorded are {sorted(recorded)}"
    return None


def events_come_in_order(history: History) -> Findings:
    """Ids grow, results come after those they are made of and after their progress, and after the end comes nothing."""
    rows = {row.run_id: row for row in history.runs}
    for who, events in _by_watcher(history).items():
        last, ended = 0, set[int]()
        done: defaultdict[int, set[int]] = defaultdict(set)
        for event in events:
            yield _unless(event.id > last, f"{who} was sent {event.id} after {last}")
            yield _unless(event.run_id not in ended, f"{who} was sent {event.type} of run {event.run_id} after its end")
            yield _out_of_order(who, event, rows.get(event.run_id), done[event.run_id])
            last = event.id
            if event.type in LAST_EVENTS:
                ended.add(event.run_id)
            if event.type == "payload_completed" and event.payload_id is not None:
                done[event.run_id].add(event.payload_id)


def _out_of_order(who: str, event: Told, row: RunRow | None, done: set[int]) -> str | None:
    if row is None or event.payload_id is None:
        return None
    if event.type == "execution_progress" and event.payload_id in done:
        return f"{who} was sent progress of payload {event.payload_id} of run {row.run_id} after its response"
    steps = {step.position: step for step in row.steps}
    for step in row.steps:
        if step.payload_id == event.payload_id:
            needed = [steps[position] for position in step.needs]
            early = [need.name for need in needed if not need.kept and need.payload_id not in done]
            if early:
                return f"{who} was sent {event.type} of {step.name} of run {row.run_id} before {early}"
    return None


def _by_watcher(history: History) -> dict[str, list[Told]]:
    found: defaultdict[str, list[Told]] = defaultdict(list)
    for event in history.told:
        found[event.who].append(event)
    return found


# The whole


def nothing_is_left(history: History) -> Findings:
    for what, number in history.left.items():
        yield _unless(number == 0, f"{number} {what}")


def no_service_crashed(history: History) -> Findings:
    """What goes wrong around it is something that a service expects, and says so."""
    if not history.crashes:
        yield None
    yield from history.crashes


def _unless(holds: bool, complaint: str) -> str | None:
    return None if holds else complaint


CHECKS: tuple[Check, ...] = (
    every_accepted_run_ends,
    every_run_ends_as_it_should,
    starts_under_one_key_make_one_run,
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
