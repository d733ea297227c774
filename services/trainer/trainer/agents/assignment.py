"""What an agent is given: its step, and what to work with."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.datafiles.limits import Limits
from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import ClaimedStep
from contracts.pipeline import AgentOutput
from contracts.registry import Dataset, Model
from trainer.domain.work import Progress, Steering
from trainer.engine.places import place_of

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Assignment:
    """A step to work on. `models` are the registered ones that its config names, `limits` how wide a data set may be.

    `directory` is empty, the agent's alone, and removed afterwards by whoever gave it.
    """

    step: ClaimedStep
    dataset: Dataset | None
    objects: Objects
    progress: Progress
    steering: Steering
    limits: Limits
    models_dir: Path
    directory: Path
    models: tuple[Model, ...] = ()

    def place(self, name: str) -> S3Path:
        """Where the step's artifact of that name belongs."""
        return place_of(self.step) / name

    def fetch(self, path: str) -> Path:
        """A local copy of an object. Raises `Refused`."""
        place = parse_path(path)
        file = self.directory / "inputs" / place.bucket / place.key
        self.objects.get_file(place, file)
        return file

    def fetch_directory(self, prefix: str) -> Path:
        """A local copy of all objects below a prefix. Raises `Refused(NOT_FOUND)` when there are none."""
        place = parse_path(prefix)
        folder = self.directory / "inputs" / place.bucket / place.key
        if self.objects.get_directory(place, folder) == 0:
            raise Refused(RefusalCode.NOT_FOUND, f"There are no objects below {prefix}")
        return folder


Agent = Callable[[Assignment], AgentOutput]
"""Does the work of one step. Raises `Refused` for what it cannot do."""


def parse_path(path: str) -> S3Path:
    """Raises `Refused(CONFIG_INVALID)` for what is no `s3://bucket/key`."""
    try:
        place = S3Path.parse(path)
    except ValueError:
        raise _no_path(path) from None
    if not _BUCKET.fullmatch(place.bucket):
        raise _no_path(path)
    return place


def _no_path(path: str) -> Refused:
    return Refused(
        RefusalCode.CONFIG_INVALID,
        f"{path!r} is not an s3://bucket/key path",
        {"errors": [{"field": "file_path", "message": "must be s3://bucket/key"}]},
    )
