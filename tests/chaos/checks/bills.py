"""Completions: each is served and recorded once, unless a router was hit while it alone knew of it."""

from collections import Counter, defaultdict

from tests.chaos.checks.findings import Findings, unless
from tests.chaos.history import History, Hit, Serving

_CALL_MARGIN = 2.0
"""Seconds after an engine's answer within which the router that asked has read, kept and recorded it."""
_KEEP_MARGIN = 3.0
"""Seconds after Postgres or NATS is back within which it has kept what it could not keep before."""
_SERVERS = ("postgres", "nats")


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
        yield unless(
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
        yield unless(
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
    """How many runs may have this asked: a rerun asks again for what it does not keep. All steps of a task ask it."""
    prefix, _, mark = tag.partition("/")
    name = mark.partition("/")[0].partition("!")[0]
    steps_of_tasks = sum(len(job.steps) for job in history.jobs if job.key == prefix)
    return steps_of_tasks + sum(
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
