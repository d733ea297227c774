"""Jobs that are deleted: when they may be, what others have taken over of their results, and what is left of them."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import JobDeleted
from contracts.topology import ARTIFACTS_BUCKET
from orchestrator.domain.jobs import job_id_of
from orchestrator.domain.machine import Run

_NAME = "[A-Za-z0-9][A-Za-z0-9_-]*"
_PLACE = re.compile(rf"s3://{ARTIFACTS_BUCKET}/({_NAME})/({_NAME})")
_RESULT = re.compile(rf"{_PLACE.pattern}(/.*)?", re.DOTALL)


@dataclass(frozen=True, order=True)
class Result:
    """What an agent of a run made, wherever it is used now."""

    origin: str
    agent: str

    @property
    def path(self) -> str:
        """Below which all of it lies in the object store."""
        return f"s3://{ARTIFACTS_BUCKET}/{self.origin}/{self.agent}"


@dataclass(frozen=True)
class TakenOver:
    """What a run that goes on from another, `origin`, has of its results, and of those which that had taken over."""

    origin: str
    results: frozenset[Result]


@dataclass(frozen=True)
class Left:
    """What is left of a deleted job, to be looked through by whoever took it: until `next_at` nobody else does."""

    run_id: str
    next_at: datetime


@dataclass(frozen=True)
class Deleted:
    """A deleted job. `pending`: there is something left of it that will go."""

    run_id: str
    owner: str
    freed_bytes: int
    pending: bool


def results_at(paths: Iterable[str]) -> set[Result]:
    """Whose results lie at these paths. Others, as of data sets, are no job's."""
    return {Result(match[1], match[2]) for match in map(_RESULT.fullmatch, paths) if match is not None}


def taken_over(origin: str, outputs: Mapping[str, dict[str, Any]]) -> TakenOver:
    """Of the run `origin`, by the paths that are anywhere in the outputs of its agents."""
    return TakenOver(origin, frozenset(Result(*place) for place in _PLACE.findall(json.dumps(outputs))))


def check_deletable(run: Run, retries: Sequence[str]) -> None:
    """`retries` are the runs that go on from it now. Raises `Refused(CONFLICT)` for a job that is still needed."""
    if run.status == "active":
        raise Refused(RefusalCode.CONFLICT, "The job still goes on: cancel it first", {"status": run.status})
    if retries:
        names = ", ".join(map(job_id_of, retries))
        message = f"{names} {'goes' if len(retries) == 1 else 'go'} on from this job: wait for the end, or cancel first"
        raise Refused(RefusalCode.CONFLICT, message, {"jobs": [job_id_of(run_id) for run_id in retries]})


def was_deleted(run_id: str) -> Refused:
    """What it made may be on its way out, and models are known by it."""
    message = f"There was a run {run_id!r}, which has been deleted: choose another run_id, or none"
    return Refused(RefusalCode.CONFLICT, message, {"run_id": run_id})


def kept_paths(taken_over: Collection[Result], read: Collection[str]) -> list[str]:
    """What stays of a deleted job: what others have taken over, and what they are about to read."""
    return sorted({*(result.path for result in taken_over), *read})


def told(deleted: Deleted) -> JobDeleted:
    return JobDeleted(job_id=job_id_of(deleted.run_id), freed_bytes=deleted.freed_bytes, pending=deleted.pending)
