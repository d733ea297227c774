"""What a run of a workflow tells of its changes, in document C's forms."""

from collections.abc import Iterator
from typing import Any

from contracts.run_events import (
    Approval,
    ApprovalDecided,
    ApprovalRequested,
    Completion,
    Decision,
    EventMetadata,
    ExecutionProgress,
    Failure,
    ItemCompleted,
    ItemFailed,
    ItemFailure,
    ItemResponse,
    Pace,
    PayloadCompleted,
    Progress,
    Response,
    RunMessage,
    WorkflowCompleted,
    WorkflowFailed,
)
from orchestrator.domain.machine import MOST_PARTS, Step, Transition

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
    if transition.step is not None:
        yield from _of_approval(number, transition, transition.step)
        yield from _of_step(number, transition, transition.step)
    match transition.ended:
        case "completed":
            yield WorkflowCompleted(data=Completion(runId=number))
        case "failed":
            yield WorkflowFailed(data=Failure(runId=number, error=error or ""))
        case "cancelled":
            yield WorkflowFailed(data=Failure(runId=number, error=_CANCELLED))
        case None:
            return


def _of_approval(number: int, transition: Transition, step: Step) -> Iterator[RunMessage]:
    """A person is asked for approval, or has approved the step or rejected it, asked or not."""
    before, failure = transition.run.steps[step.position], transition.failure
    if step.number is None:
        return
    if step.asked and not before.asked:
        yield ApprovalRequested(data=Approval(runId=number, payloadId=step.number, payloadName=step.name))
    if not before.approval or before.status == "running":
        return
    yield ApprovalDecided(
        data=Decision(
            runId=number,
            payloadId=step.number,
            payloadName=step.name,
            decision="approved" if failure is None else "rejected",
            reason="" if failure is None else failure.metadata.get("reason", ""),
        )
    )


def _of_step(number: int, transition: Transition, step: Step) -> Iterator[RunMessage]:
    if step.part_of is not None:
        yield from _of_item(number, transition, step, transition.run.steps[step.part_of])
    elif step.status == "completed" and transition.output is not None:
        response = _response(number, step.name, transition.output)
        if not response.metadata.skipped and response.metadata.items is None:
            yield _all_of(response)
        yield PayloadCompleted(data=response)


def _of_item(number: int, transition: Transition, part: Step, whole: Step) -> Iterator[RunMessage]:
    """What became of an item, and how many of all have ended."""
    item, pace = part.position % MOST_PARTS, 0.0
    if part.status == "completed" and transition.output is not None:
        response = _response(number, whole.name, transition.output)
        pace = _pace(response.metadata)
        yield ItemCompleted(data=ItemResponse(**dict(response), item=item, items=whole.parts))
    elif part.status == "failed" and transition.failure is not None and part.number is not None:
        yield ItemFailed(
            data=ItemFailure(
                runId=number,
                payloadId=part.number,
                payloadName=whole.name,
                item=item,
                items=whole.parts,
                error=transition.failure.message,
            )
        )
    else:
        return
    ended = whole.parts - whole.waits_for + 1
    yield ExecutionProgress(
        data=Progress(
            runId=number,
            payloadId=part.number or 0,
            payloadName=whole.name,
            progress=100 * ended // whole.parts,
            metadata=Pace(tokens_per_second=pace),
        )
    )


def told_of_deletion(number: int) -> RunMessage:
    """The last message of a run that was deleted while it went on."""
    return WorkflowFailed(data=Failure(runId=number, error=_DELETED))


def _all_of(response: Response) -> RunMessage:
    """The last of its progress."""
    return ExecutionProgress(
        data=Progress(
            runId=response.runId,
            payloadId=response.payloadId,
            payloadName=response.payloadName,
            progress=100,
            metadata=Pace(tokens_per_second=_pace(response.metadata)),
        )
    )


def _pace(took: EventMetadata) -> float:
    """That of the answer's own tokens, as while it was being made."""
    return round(1000 * took.completionTokens / took.duration_ms, 2) if took.duration_ms else took.tokens_per_second


def _response(number: int, name: str, output: dict[str, Any]) -> Response:
    content: str = output["content"]
    return Response(
        runId=number,
        payloadId=output["payload_id"],
        payloadName=name,
        content=content[:LONGEST_TOLD],
        metadata=EventMetadata.model_validate({**output["metadata"], "truncated": len(content) > LONGEST_TOLD}),
    )
