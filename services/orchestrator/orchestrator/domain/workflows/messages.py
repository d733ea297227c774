"""What a run of a workflow tells of its changes, in document C's forms."""

from collections.abc import Iterator
from typing import Any

from contracts.run_events import (
    Completion,
    EventMetadata,
    ExecutionProgress,
    Failure,
    Pace,
    PayloadCompleted,
    Progress,
    Response,
    RunMessage,
    WorkflowCompleted,
    WorkflowFailed,
)
from orchestrator.domain.machine import Step, Transition

LONGEST_TOLD = 250_000
"""Characters of a response in an event, which many clients are sent; the whole is in the run's responses."""

_CANCELLED = "The run was cancelled"
_DELETED = "The run was deleted"


def told(number: int, transition: Transition, error: str | None) -> Iterator[RunMessage]:
    """The messages of the run of that number, in order. `error` says why it fails, if it does.

    What still comes in of a run that has ended is kept, but nobody is told: its last message was the last.
    """
    if transition.run.status != "active":
        return
    if transition.step is not None and transition.step.status == "completed" and transition.output is not None:
        response = _response(number, transition.step, transition.output)
        if not response.metadata.skipped:
            yield _all_of(response)
        yield PayloadCompleted(data=response)
    match transition.ended:
        case "completed":
            yield WorkflowCompleted(data=Completion(runId=number))
        case "failed":
            yield WorkflowFailed(data=Failure(runId=number, error=error or ""))
        case "cancelled":
            yield WorkflowFailed(data=Failure(runId=number, error=_CANCELLED))
        case None:
            return


def told_of_deletion(number: int) -> RunMessage:
    """The last message of a run that was deleted while it went on."""
    return WorkflowFailed(data=Failure(runId=number, error=_DELETED))


def _all_of(response: Response) -> RunMessage:
    """The last of its progress, whose pace is that of the answer's own tokens, as before."""
    took = response.metadata
    pace = round(1000 * took.completionTokens / took.duration_ms, 2) if took.duration_ms else took.tokens_per_second
    return ExecutionProgress(
        data=Progress(
            runId=response.runId,
            payloadId=response.payloadId,
            payloadName=response.payloadName,
            progress=100,
            metadata=Pace(tokens_per_second=pace),
        )
    )


def _response(number: int, step: Step, output: dict[str, Any]) -> Response:
    content: str = output["content"]
    return Response(
        runId=number,
        payloadId=output["payload_id"],
        payloadName=step.name,
        content=content[:LONGEST_TOLD],
        metadata=EventMetadata.model_validate({**output["metadata"], "truncated": len(content) > LONGEST_TOLD}),
    )
