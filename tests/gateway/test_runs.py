"""Runs of workflows have the forms of document C; what it leaves open comes beside."""

from typing import Any

from contracts import workflow_runs
from contracts.base import RefusalCode, Refused
from contracts.workflow_runs import (
    ExecutionStarted,
    ListRunResponses,
    ResponseMetadata,
    RunDeleted,
    RunMetadata,
    RunResponse,
    RunResponsePage,
    WorkflowRun,
    WorkflowRunList,
    WorkflowRunWithInputs,
)
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, Peers

TIME = "2026-01-02T03:04:05.000000Z"
RUN: dict[str, Any] = {"id": 1, "workflow_id": 1, "status": "completed", "started_at": TIME, "completed_at": TIME}
METADATA = {"workflow_name": "Analysis Workflow", "total_payloads": 2, "started_at": TIME, "completed_at": TIME}
NUMBERS = {"tokens": 150, "promptTokens": 50, "completionTokens": 100, "duration_ms": 5000, "tokens_per_second": 30}


def run(number: int = 1) -> WorkflowRunWithInputs:
    metadata = RunMetadata(**METADATA, workflow_version=1, completed_payloads=2, awaiting_approval=[])
    return WorkflowRunWithInputs(
        **{**RUN, "id": number},
        error=None,
        parent_run_id=None,
        trigger="api",
        trigger_id=None,
        metadata=metadata,
        inputs={"topic": "rivers"},
        items=[],
    )


def response(number: int, content: str = "Generated", **numbers: Any) -> RunResponse:
    return RunResponse(
        id=number,
        run_id=1,
        payload_id=number,
        payload_name=f"P{number}",
        content=content,
        prompt="Say it",
        metadata=ResponseMetadata(**{**NUMBERS, **numbers}),
        created_at=MOMENT,
    )


def with_documented_fields(body: dict[str, Any], documented: dict[str, Any]) -> dict[str, Any]:
    """The part of `body` that the document shows."""
    return {name: body[name] for name in documented}


async def test_executing_a_workflow_answers_at_once_and_needs_no_body(gateway: Gateway, peers: Peers) -> None:
    started = {"runId": 1, "message": "Workflow execution started", "status": "running"}
    peers.answer(workflow_runs.EXECUTE_WORKFLOW, ExecutionStarted(**started))
    status, body, _ = await gateway.call("POST", "/api/execute/workflow/1")
    assert (status, body) == (200, started)
    assert peers.asked(workflow_runs.EXECUTE_WORKFLOW).inputs == {}
    await gateway.call("POST", "/api/execute/workflow/1", json={"inputs": {"topic": ["a", "b"]}})
    assert peers.asked(workflow_runs.EXECUTE_WORKFLOW).inputs == {"topic": ["a", "b"]}


async def test_a_run_its_status_and_its_responses_in_the_documents_forms(gateway: Gateway, peers: Peers) -> None:
    peers.answer(workflow_runs.GET_WORKFLOW_RUN, run())

    def parts(asked: ListRunResponses) -> RunResponsePage:
        return RunResponsePage(responses=[response(asked.after + 1)], more=asked.after == 0)

    peers.answer(workflow_runs.LIST_RUN_RESPONSES, parts)
    shown = await gateway.get("/api/runs/1")
    assert with_documented_fields(shown, RUN) == RUN
    assert with_documented_fields(shown["metadata"], METADATA) == METADATA
    whole = await gateway.get("/api/execute/run/1")
    assert {name: value for name, value in whole.items() if name != "responses"} == shown
    documented = {"id": 1, "run_id": 1, "payload_id": 1, "content": "Generated", "created_at": TIME}
    listed = await gateway.get("/api/runs/1/responses")
    assert whole["responses"] == listed
    assert [one["id"] for one in listed] == [1, 2]
    assert with_documented_fields(listed[0], documented) == documented
    assert with_documented_fields(listed[0]["metadata"], NUMBERS) == NUMBERS


async def test_runs_are_a_bare_array_by_limit_and_status(gateway: Gateway, peers: Peers) -> None:
    listed = WorkflowRun(**{name: getattr(run(), name) for name in WorkflowRun.model_fields})
    peers.answer(workflow_runs.LIST_WORKFLOW_RUNS, WorkflowRunList(runs=[listed]))
    (shown,) = await gateway.get("/api/runs?status=completed")
    assert with_documented_fields(shown, RUN) == RUN
    asked = peers.asked(workflow_runs.LIST_WORKFLOW_RUNS)
    assert (asked.limit, asked.status) == (50, "completed")


async def test_deleting_a_run_says_so_and_one_that_is_not_there_is_an_error(gateway: Gateway, peers: Peers) -> None:
    peers.answer(workflow_runs.DELETE_WORKFLOW_RUN, RunDeleted())
    status, body, _ = await gateway.call("DELETE", "/api/runs/1")
    assert (status, body) == (200, {"message": "Run and associated responses deleted successfully"})
    peers.answer(workflow_runs.DELETE_WORKFLOW_RUN, Refused(RefusalCode.NOT_FOUND, "Run not found"))
    status, body, _ = await gateway.call("DELETE", "/api/runs/1")
    assert (status, body) == (404, {"error": "Run not found"})


async def test_two_runs_side_by_side(gateway: Gateway, peers: Peers) -> None:
    peers.answer(workflow_runs.GET_WORKFLOW_RUN, lambda asked: run(asked.run_id))

    def parts(asked: ListRunResponses) -> RunResponsePage:
        ours = [response(1), response(2, "First", cost="0.5")]
        theirs = [response(1), response(2, "Second", tokens=50, cost="0.25"), response(3)]
        return RunResponsePage(responses=ours if asked.run_id == 1 else theirs, more=False)

    peers.answer(workflow_runs.LIST_RUN_RESPONSES, parts)
    body = await gateway.get("/api/runs/1/compare/2")
    assert [(body[side]["id"], body[side]["tokens"], body[side]["cost"]) for side in ("run", "other")] == [
        (1, 300, "0.5"),
        (2, 350, "0.25"),
    ]
    assert [(one["payload_name"], one["same"], one["run"] is None) for one in body["payloads"]] == [
        ("P1", True, False),
        ("P2", False, False),
        ("P3", False, True),
    ]
