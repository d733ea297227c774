"""A child process with agents that do what a test says: `file_path` is `s3://stub/<behaviour>`.

All but the agents is the real child; without torch it starts at once.
"""

import os
import signal
import sys
import time
from types import SimpleNamespace

from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetOutput
from trainer import child
from trainer.agents.assignment import Assignment
from trainer.domain.work import Paused


def run(work: Assignment) -> DatasetOutput:  # noqa: C901, PLR0912 - a list of behaviours
    path = str(work.step.config.get("file_path"))
    (work.directory / "scratch").write_text("left behind")
    work.progress.log("INFO", "working")
    match path.rsplit("/", 1)[-1]:
        case "noise":
            print("printed by a library")
            os.write(1, b"written below Python\n")
            os.system("echo from a process of its own")  # noqa: S605
            sys.stdout.flush()
        case "hang":
            time.sleep(600)
        case "slow":
            time.sleep(2)
        case "heed":
            while not work.steering.wants_pause():
                for one in work.steering.adjustments():
                    work.progress.log("INFO", f"adjusted to {one.learning_rate}", adjustment=one.number)
                time.sleep(0.02)
            raise Paused
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "refuse":
            raise Refused(RefusalCode.DATASET_INVALID, "broken", {"line": 7})
        case "storage":
            raise Refused(RefusalCode.STORAGE_FAILED, "away")
        case "crash":
            raise ValueError("internal detail")
        case "chatty":
            for number in range(2000):
                work.progress.log("METRIC", f"step {number}", step=number, loss=1 / (number + 1))
        case "large":
            work.progress.log("INFO", "x" * 200_000)
        case "pid":
            work.progress.log("INFO", str(os.getpid()))
    return DatasetOutput(dataset_id=None, s3_path=path, format="csv", rows=1, columns=["a"], size_bytes=1, sha256="0")


if __name__ == "__main__":
    sys.modules["trainer.agents.table"] = SimpleNamespace(AGENTS={"DatasetAgent": run})  # type: ignore[assignment]
    child.main()
