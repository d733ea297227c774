"""What runs on a data directory: kept in `running.json` while it does, for `make demo`, tests and scrapers to read."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from embedded.files import write_atomically

RUNNING_FILE = "running.json"


class Running(BaseModel):
    """`pid` is the supervisor's. `pids` has the processes that live, `ports` every port by its name."""

    model_config = ConfigDict(frozen=True)

    pid: int
    url: str
    ready: bool
    ports: dict[str, int]
    pids: dict[str, int]

    def write(self, data_dir: Path) -> None:
        write_atomically(data_dir / RUNNING_FILE, self.model_dump_json(indent=2), mode=0o644)

    @classmethod
    def read(cls, data_dir: Path) -> "Running | None":
        """What runs on the data directory; None when nothing does, even if a killed platform left its file behind."""
        try:
            running = cls.model_validate_json((data_dir / RUNNING_FILE).read_bytes())
            os.kill(running.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:
            # It lives, and belongs to another user.
            return running
        return running

    @staticmethod
    def remove(data_dir: Path) -> None:
        (data_dir / RUNNING_FILE).unlink(missing_ok=True)
