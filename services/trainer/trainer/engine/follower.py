"""`python -m trainer.engine.follower`: a process that follows another one's training run, on a device of its own."""

import os
import sys
import threading
from pathlib import Path

from contracts.orchestrator import LogLevel
from trainer.engine.crew import Crew
from trainer.engine.preparing import FollowerJob, prepare_run


class Silent:
    """A `Progress` that tells nobody: the leader does."""

    def log(self, level: LogLevel, message: str, **numbers: float) -> None: ...


def main(arguments: list[str]) -> None:
    # Standard input ends with the leader, and without it nobody wants what we do.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    rank, size, rendezvous = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    job = FollowerJob.model_validate_json(arguments[3])
    prepare_run(job, None, Crew(rank, size, rendezvous), rendezvous.parent, Silent()).run.follow()


if __name__ == "__main__":
    main(sys.argv[1:])
