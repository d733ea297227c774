"""`make chaos MINUTES=10 SEED=7`: workflow runs while an adversary kills, stops, restarts, empties and repeats.

The seed says what he does, to whom and when, and what callers want; the same seed says the same again. What each deed
meets is up to the clock and the scheduler, so a defect may need more than one go. It passes when every check holds.
What he did, moment by moment, is in `reports/chaos/`, with the log of all processes.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from rich.console import Console

from common.telemetry import configure_logging
from tests.chaos.campaign import Outcome, Progress, Settings, campaign
from tests.chaos.house import LOG_FILE, House
from tests.chaos.plan import Fleet
from tests.chaos.report import show, show_outcome, timed, write

_RUNS_PER_MINUTE = 100


async def _campaign(house: House, settings: Settings, console: Console) -> Outcome:
    progress = Progress()
    showing = asyncio.create_task(show(console, progress))
    try:
        return await campaign(house, settings, progress)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="replays the plan of an earlier campaign; one is chosen without it")
    parser.add_argument("--minutes", type=float, default=10, help="how long the adversary is at work")
    parser.add_argument("--runs", type=int, help=f"runs of workflows; without it {_RUNS_PER_MINUTE} a minute")
    parser.add_argument("--pause", type=float, default=2, help="seconds between two deeds, on average")
    parser.add_argument("--out", type=Path, default=Path("reports/chaos"))
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    runs = asked.runs if asked.runs is not None else round(_RUNS_PER_MINUTE * asked.minutes)
    settings = Settings(seed, asked.minutes * 60, runs, asked.pause)
    # The house has a log of its own; what this program's connections say of their troubles is no news.
    configure_logging("chaos", "CRITICAL")
    console = Console(width=None if sys.stdout.isatty() else 150)
    again = f"--seed {seed} --minutes {asked.minutes:g} --runs {runs} --pause {asked.pause:g}"
    console.print(f"Seed {seed}; again: python -m tests.chaos {again}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        with ExitStack() as stack:
            with timed(console, "Starting servers and services"):
                house = stack.enter_context(House(Path(folder), Fleet()))
            outcome = asyncio.run(_campaign(house, settings, console))
        report = write(outcome, asked.out, Path(folder) / LOG_FILE)
    show_outcome(console, outcome)
    verdict = "FAILED" if outcome.complaints else "PASSED"
    console.print(f"{verdict}; what was done when is in {report}. Seed {seed}; again: {again}", highlight=False)
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
