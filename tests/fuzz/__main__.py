"""`make fuzz MINUTES=10`: as the test does, but for longer and with other requests each time."""

import argparse
import sys

from tests.fuzz.fuzzing import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long to go on")
    parser.add_argument("--seed", type=int, help="makes the requests of an earlier run again, which told its seed")
    asked = parser.parse_args()
    seed = [] if asked.seed is None else [f"--seed={asked.seed}"]
    found = fuzz(f"--max-time={max(1, round(asked.minutes * 60))}", "--max-examples=500", *seed)
    print(found.stdout)
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
