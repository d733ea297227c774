"""Rows of runs of workflows (document C): executed, watched, steered, repeated, compared, deleted."""

from contracts import workflow_runs
from contracts.base import RefusalCode
from contracts.workflow_runs import GetWorkflowRun
from gateway.domain.runs import Comparison, ResponseArray, RunArray, RunWithResponses, TwoRuns, run_array
from gateway.routes.table import Route, Special, Tag, asks, view

_RUN = "/api/runs/{run_id}"

RUNS = (
    asks(
        "POST",
        "/api/execute/workflow/{workflow_id}",
        workflow_runs.EXECUTE_WORKFLOW,
        tag=Tag.RUNS,
        summary="Execute a workflow",
        description=(
            "Answers at once; the run goes on in the background, through crashes and restarts, with the workflow as it"
            " is now. `inputs` are what its prompts may name: texts, or lists for `for_each`."
        ),
        once=True,
        example={"inputs": {"topic": "rivers"}},
    ),
    Route(
        method="GET",
        path="/api/execute/run/{run_id}",
        tag=Tag.RUNS,
        summary="Get the status of a run and its responses",
        role="viewer",
        request=GetWorkflowRun,
        response=RunWithResponses,
        special=Special.RUN_STATUS,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    asks(
        "GET",
        "/api/runs",
        workflow_runs.LIST_WORKFLOW_RUNS,
        tag=Tag.RUNS,
        summary="List runs",
        description=(
            "The caller's own, newest first; an admin sees all. `trigger` is what started them, `trigger_id` which"
            " schedule or webhook; `before` is the id of a run that they are older than."
        ),
        view=view(RunArray, run_array),
    ),
    asks("GET", _RUN, workflow_runs.GET_WORKFLOW_RUN, tag=Tag.RUNS, summary="Get a run"),
    Route(
        method="GET",
        path=_RUN + "/responses",
        tag=Tag.RUNS,
        summary="Get the responses of a run",
        role="viewer",
        request=GetWorkflowRun,
        response=ResponseArray,
        special=Special.RUN_RESPONSES,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    asks(
        "GET",
        _RUN + "/items",
        workflow_runs.LIST_RUN_ITEMS,
        tag=Tag.RUNS,
        summary="List the items of a run's payloads",
        description=(
            "Of payloads that are done for each item of a list: what became of each. `payload` is an id or a name."
        ),
    ),
    asks(
        "DELETE",
        _RUN,
        workflow_runs.DELETE_WORKFLOW_RUN,
        tag=Tag.RUNS,
        summary="Delete a run and its responses",
        description="One that goes on is stopped.",
    ),
    asks(
        "POST",
        _RUN + "/cancel",
        workflow_runs.CANCEL_WORKFLOW_RUN,
        tag=Tag.RUNS,
        summary="Cancel a run",
        description="It ends at once, and what its instances are working on is stopped within two seconds.",
    ),
    asks(
        "POST",
        _RUN + "/pause",
        workflow_runs.PAUSE_WORKFLOW_RUN,
        tag=Tag.RUNS,
        summary="Pause a run",
        description="What is being answered is still recorded; nothing more is asked until the run is resumed.",
    ),
    asks("POST", _RUN + "/resume", workflow_runs.RESUME_WORKFLOW_RUN, tag=Tag.RUNS, summary="Resume a paused run"),
    asks(
        "POST",
        _RUN + "/approve",
        workflow_runs.APPROVE_PAYLOAD,
        tag=Tag.RUNS,
        summary="Approve a payload that waits for a person",
        description="`payload` is its id or name; without it, the first that waits.",
    ),
    asks(
        "POST",
        _RUN + "/reject",
        workflow_runs.REJECT_PAYLOAD,
        tag=Tag.RUNS,
        summary="Reject a payload that waits for a person",
        description="The run fails with it.",
    ),
    asks(
        "POST",
        _RUN + "/rerun",
        workflow_runs.RERUN_WORKFLOW,
        tag=Tag.RUNS,
        summary="Repeat a run from where it failed, or from a chosen payload",
        description=(
            "Makes a new run of what the old one pinned. Responses are kept of all payloads but the one at"
            " `from_payload` (its id or name) and those that follow it; without one, of all payloads, and all items of"
            " lists, that had completed. A run"
            " that has completed is then repeated whole."
        ),
        once=True,
        example={"from_payload": "Follow-up Analysis"},
    ),
    asks(
        "POST",
        _RUN + "/fork",
        workflow_runs.FORK_WORKFLOW,
        tag=Tag.RUNS,
        summary="Start a run of what another pinned, with other inputs",
        description=(
            "The given `inputs` stand over those of the same name. With `from_payload`, responses before it are kept."
        ),
        once=True,
        example={"inputs": {"topic": "lakes"}},
    ),
    Route(
        method="GET",
        path=_RUN + "/compare/{other_id}",
        tag=Tag.RUNS,
        summary="Compare two runs side by side",
        description="What both were answered, payload by payload, with tokens, cost and time.",
        role="viewer",
        request=TwoRuns,
        response=Comparison,
        special=Special.COMPARE_RUNS,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
)
