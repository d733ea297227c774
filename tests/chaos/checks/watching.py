"""Watchers: whoever comes back with the id it saw last hears everything once, in order."""

from collections import defaultdict

from tests.chaos.checks.findings import Findings, unless
from tests.chaos.history import ENDED, LAST_EVENTS, History, RunRow, Told


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
            yield unless(event.id > last, f"{who} was sent {event.id} after {last}")
            yield unless(event.run_id not in ended, f"{who} was sent {event.type} of run {event.run_id} after its end")
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
