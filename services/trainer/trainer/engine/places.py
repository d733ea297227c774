"""Where a step's artifacts lie in the object store: `s3://artifacts/<run_id>/<agent_name>/…`."""

from common.objects import S3Path
from contracts.orchestrator import ClaimedStep
from contracts.topology import ARTIFACTS_BUCKET

_CHECKPOINTS = "checkpoints"


def place_of(step: ClaimedStep) -> S3Path:
    """The prefix that is this step's alone; every attempt writes the same names below it."""
    return _place(step.run_id, step.agent_name)


def checkpoints_of(step: ClaimedStep) -> S3Path:
    return place_of(step) / _CHECKPOINTS


def earlier_checkpoints_of(step: ClaimedStep) -> S3Path | None:
    """Those of the agent of that name in the run that this one goes on from."""
    if step.resumes is None:
        return None
    return _place(step.resumes, step.agent_name) / _CHECKPOINTS


def left_by(run_id: str, agent_name: str, *, cancelled: bool) -> S3Path:
    """What nobody wants of a step that has ended for good: all of a cancelled one, the checkpoints of others."""
    place = _place(run_id, agent_name)
    return place if cancelled else place / _CHECKPOINTS


def _place(run_id: str, agent_name: str) -> S3Path:
    return S3Path(ARTIFACTS_BUCKET, f"{run_id}/{agent_name}")
