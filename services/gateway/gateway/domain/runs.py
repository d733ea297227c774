"""Runs of workflows in document C's forms, and two of them side by side."""

from collections.abc import Sequence
from decimal import Decimal

from pydantic import RootModel

from contracts.base import Message
from contracts.prompts import Id
from contracts.router import Usd
from contracts.workflow_runs import (
    ResponseMetadata,
    RunResponse,
    RunStatus,
    WorkflowRun,
    WorkflowRunList,
    WorkflowRunWithInputs,
)


class RunArray(RootModel[list[WorkflowRun]]):
    """Runs, newest first."""


class ResponseArray(RootModel[list[RunResponse]]):
    """Responses, in the order of their payloads."""


class RunWithResponses(WorkflowRunWithInputs):
    responses: list[RunResponse]


class TwoRuns(Message):
    run_id: Id
    other_id: Id


class ComparedRun(Message):
    """A run in sum. `duration_ms` is what its instances took, `cost` null when no price is known."""

    id: int
    workflow_id: int
    status: RunStatus
    tokens: int
    duration_ms: int
    cost: Usd | None


class Answered(Message):
    content: str
    metadata: ResponseMetadata


class ComparedPayload(Message):
    """What both runs were answered; null where one was not. `same` is whether the texts are."""

    payload_name: str
    same: bool
    run: Answered | None
    other: Answered | None


class Comparison(Message):
    """Two runs side by side, by the names of their payloads."""

    run: ComparedRun
    other: ComparedRun
    payloads: list[ComparedPayload]


def run_array(found: WorkflowRunList) -> RunArray:
    return RunArray(found.runs)


def with_responses(run: WorkflowRunWithInputs, responses: Sequence[RunResponse]) -> RunWithResponses:
    return RunWithResponses(**dict(run), responses=list(responses))


def compared(run: RunWithResponses, other: RunWithResponses) -> Comparison:
    left, right = _by_name(run), _by_name(other)
    return Comparison(
        run=_in_sum(run),
        other=_in_sum(other),
        payloads=[_side_by_side(name, left.get(name), right.get(name)) for name in {**left, **right}],
    )


def _by_name(run: RunWithResponses) -> dict[str, Answered]:
    return {
        response.payload_name: Answered(content=response.content, metadata=response.metadata)
        for response in run.responses
    }


def _side_by_side(name: str, left: Answered | None, right: Answered | None) -> ComparedPayload:
    same = left is not None and right is not None and left.content == right.content
    return ComparedPayload(payload_name=name, same=same, run=left, other=right)


def _in_sum(run: RunWithResponses) -> ComparedRun:
    took = [response.metadata for response in run.responses]
    costs = [one.cost for one in took if one.cost is not None]
    return ComparedRun(
        id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        tokens=sum(one.tokens for one in took),
        duration_ms=sum(one.duration_ms for one in took),
        cost=sum(costs, Decimal(0)) if costs else None,
    )
