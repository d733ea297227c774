"""Where a step's artifacts lie in the object store: `s3://artifacts/<run_id>/<agent_name>/…`."""

from common.objects import S3Path
from contracts.orchestrator import ClaimedStep
from contracts.topology import ARTIFACTS_BUCKET


def place_of(step: ClaimedStep) -> S3Path:
    """The prefix that is this step's alone; every attempt writes the same names below it."""
    return S3Path(ARTIFACTS_BUCKET, f"{step.run_id}/{step.agent_name}")


def checkpoints_of(step: ClaimedStep) -> S3Path:
    return place_of(step) / "checkpoints"


def earlier_checkpoints_of(step: ClaimedStep) -> S3Path | None:
    """Those of the agent of that name in the run that this one goes on from."""
    if step.resumes is None:
        return None
    return S3Path(ARTIFACTS_BUCKET, f"{step.resumes}/{step.agent_name}/checkpoints")
