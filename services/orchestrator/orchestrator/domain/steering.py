"""What can be done to a job that goes on, and how others are told."""

from collections.abc import Mapping

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import JobAction, Steering
from orchestrator.domain.jobs import TRAINER
from orchestrator.domain.machine import Run

_DONE = {"pause": "paused the job", "resume": "resumed the job", "cancel": "cancelled the job"}
_INSTEAD: Mapping[JobAction, str] = {
    "resume": ": retry it, to go on from where it ended",
    "cancel": ": `purge=true` deletes it",
}
"""What who comes too late may have meant."""


def check_active(run: Run, action: JobAction) -> None:
    """Raises `Refused(CONFLICT)` for a job that has ended."""
    if run.status == "active":
        return
    ended = "was cancelled" if run.status == "cancelled" else f"has {run.status}"
    raise Refused(RefusalCode.CONFLICT, f"The job {ended} already{_INSTEAD.get(action, '')}", {"status": run.status})


def check_adjustable(run: Run, agent_name: str | None) -> None:
    """Raises `Refused(CONFLICT)` unless an agent that has not ended yet can be adjusted."""
    names = [step.name for step in run.steps.values() if step.kind == TRAINER]
    if agent_name is not None and agent_name not in names:
        message = f"{agent_name!r} is no agent of this job that trains, or is done"
        raise Refused(RefusalCode.CONFLICT, message, {"agent": agent_name})
    if not names:
        raise Refused(RefusalCode.CONFLICT, "No agent of this job trains any more")


def steered(steering: Steering) -> str:
    """A line of the log."""
    if steering.action == "adjust":
        where = "" if steering.agent_name is None else f" of {steering.agent_name}"
        return f"{steering.by} set learning_rate{where} to {steering.learning_rate:g}"
    return f"{steering.by} {_DONE[steering.action]}"
