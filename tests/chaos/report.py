"""What a campaign shows: while it goes on, at its end, and in the file that stays."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.chaos.campaign import Outcome, Progress
from tests.chaos.history import ENDED, History, Hit

_LINE_SECONDS = 10.0
_MOST_SHOWN = 10


async def show(console: Console, progress: Progress) -> None:
    """Until cancelled: a live line on a terminal, else a line every ten seconds."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            console.print(_line(progress), highlight=False, markup=False)
    with Live(console=console, refresh_per_second=4, get_renderable=lambda: _line(progress)):
        await asyncio.Event().wait()


def _line(progress: Progress) -> str:
    return (
        f"{progress.seconds:5.0f} s  {progress.phase:<12}  {progress.started:4} runs wanted  {progress.ended:4} ended"
        f"  {progress.deeds:3} deeds  {progress.last_deed}"
    )


def show_outcome(console: Console, outcome: Outcome) -> None:
    for table in (_deeds(outcome), _noticed(outcome), _runs(outcome), _verdicts(outcome)):
        console.print(table)
    for verdict in outcome.verdicts:
        for complaint in verdict.complaints[:_MOST_SHOWN]:
            console.print(f"{verdict.name}: {complaint}", style="red", markup=False, highlight=False)
        if (more := len(verdict.complaints) - _MOST_SHOWN) > 0:
            console.print(f"{verdict.name}: and {more} more, which are in the report", style="red")


def _deeds(outcome: Outcome) -> Table:
    table = Table(title="What the adversary did")
    for column in ("deed", "to", "times", "of these when it was down", "longest until all was well, s"):
        table.add_column(column, justify="left" if column in {"deed", "to"} else "right")
    hits: dict[tuple[str, str], list[Hit]] = {}
    for hit in outcome.history.hits:
        hits.setdefault((hit.deed, hit.target), []).append(hit)
    for (deed, target), done in sorted(hits.items()):
        down = sum(hit.note.startswith("it was down") for hit in done)
        longest = max(hit.ended - hit.began for hit in done)
        table.add_row(deed, target, str(len(done)), str(down), f"{longest:.1f}")
    return table


def _noticed(outcome: Outcome) -> Table:
    table = Table(title="What the house said of it")
    table.add_column("in its log")
    table.add_column("times", justify="right")
    for what, number in outcome.history.noticed.most_common():
        table.add_row(what, f"{number:,}")
    return table


def _runs(outcome: Outcome) -> Table:
    history = outcome.history
    table = Table(title="What callers wanted, and what became of it")
    for column in ("story", "runs", "completed", "failed", "cancelled", "else", "longest, s"):
        table.add_column(column, justify="left" if column == "story" else "right")
    ends: dict[str, Counter[str]] = {}
    took: dict[str, float] = {}
    lengths = _lengths(history)
    for row in history.runs:
        story = _story(outcome, row.key)
        ends.setdefault(story, Counter())[row.status] += 1
        took[story] = max(took.get(story, 0.0), lengths.get(row.run_id, 0.0))
    for job in history.jobs:
        ends.setdefault(_story(outcome, job.key), Counter())[job.status] += 1
    for story, states in sorted(ends.items()):
        known = [states[state] for state in ("completed", "failed", "cancelled")]
        longest = f"{took[story]:.1f}" if story in took else ""
        table.add_row(story, str(states.total()), *map(str, known), str(states.total() - sum(known)), longest)
    return table


def _story(outcome: Outcome, key: str) -> str:
    """Whose run, job or task it is."""
    if (found := re.search(r"chaos-\d+-(\d+)", key)) is not None:
        return outcome.stories[int(found[1])].__name__
    return "scheduled" if key.startswith("schedule:") else "jobs"


def _lengths(history: History) -> dict[int, float]:
    """Seconds from when a caller knew of a run to when anybody saw its end."""
    accepted = {one.run_id: one.at for one in reversed(history.accepted)}
    ended = {sight.run_id: sight.at for sight in reversed(history.sights) if sight.status in ENDED}
    return {run_id: ended[run_id] - at for run_id, at in accepted.items() if run_id in ended}


def _verdicts(outcome: Outcome) -> Table:
    history = outcome.history
    served = sum(serving.ended is not None for serving in history.servings)
    billed = sum(bill.completed for bill in history.bills)
    table = Table(
        title="What was checked",
        caption=f"{served:,} completions served, {billed:,} recorded; {len(history.told):,} messages told",
    )
    for column in ("check", "looked at", "verdict"):
        table.add_column(column, justify="right" if column == "looked at" else "left")
    for verdict in outcome.verdicts:
        word = f"[red]{len(verdict.complaints)} complaints" if verdict.complaints else "holds"
        table.add_row(verdict.name, f"{verdict.examined:,}", word)
    return table


def write(outcome: Outcome, folder: Path, log: Path) -> Path:
    """The report, and beside it what the house's processes logged."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{outcome.settings.seed}.md"
    with path.open("w", encoding="utf-8") as file:
        console = Console(file=file, width=150)
        settings = outcome.settings
        console.print(f"# Chaos, seed {settings.seed}\n", markup=False)
        console.print(
            f"{settings.seconds:.0f} s under attack, {len(outcome.history.runs)} runs and"
            f" {len(outcome.history.jobs)} jobs; written {datetime.now().astimezone():%Y-%m-%d %H:%M}. The plan follows"
            " from the seed; what each deed met is up to the clock.\n"
        )
        show_outcome(console, outcome)
        console.print("\n## Deed by deed\n", markup=False)
        for line in _chronicle(outcome):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print("\n## Complaints\n", markup=False)
        for complaint in outcome.complaints or ["None."]:
            console.print(f"- {complaint}", markup=False, highlight=False, soft_wrap=True)
    (folder / f"seed-{outcome.settings.seed}.log").write_text(log.read_text(errors="replace"), encoding="utf-8")
    return path


def _chronicle(outcome: Outcome) -> Iterator[str]:
    hits = {hit.number: hit for hit in outcome.history.hits}
    for deed in outcome.plan:
        hit = hits.get(deed.number)
        if hit is None:
            yield f"- {deed.number}. {deed}: not done"
            continue
        moment = datetime.fromtimestamp(hit.began).astimezone()
        yield f"- {deed.number}. {deed}: {moment:%H:%M:%S.%f}, {hit.note}, over after {hit.ended - hit.began:.1f} s"


@contextmanager
def timed(console: Console, what: str) -> Iterator[None]:
    """Says what takes a while, and how long it took."""
    began = time.monotonic()
    console.print(f"{what} ...", highlight=False)
    yield
    console.print(f"{what}: {time.monotonic() - began:.1f} s", highlight=False)
