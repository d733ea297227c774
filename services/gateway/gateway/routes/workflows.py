"""Rows of workflows (document C): payloads in order, kept, and as one JSON file."""

from contracts import workflows
from contracts.workflows import WorkflowFilter
from gateway.domain.orchestration import SavedWorkflow, Told, WorkflowArray, deleted_workflow, saved_workflow
from gateway.routes.table import Route, Special, Tag, asks, view

_WORKFLOWS = "/api/workflows"
# Digits alone, beside `/api/workflows/import`.
_WORKFLOW = "/api/workflows/{workflow_id:\\d+}"
_SAVED = view(SavedWorkflow, saved_workflow)
_EXAMPLE = {"name": "Analysis Workflow", "payloads": [1, 2]}

WORKFLOWS = (
    Route(
        method="GET",
        path=_WORKFLOWS,
        tag=Tag.WORKFLOWS,
        summary="List workflows",
        description="`search` is a part of the name, `payload_id` a payload that they use.",
        role="viewer",
        request=WorkflowFilter,
        response=WorkflowArray,
        special=Special.LIST_WORKFLOWS,
    ),
    asks(
        "POST",
        _WORKFLOWS,
        workflows.CREATE_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Create a workflow",
        description=(
            "A payload may come more than once. `inputs` names what its runs may be given, each with what stands for"
            " one that is not, or with null where it must be."
        ),
        view=_SAVED,
        status=201,
        omit_absent=True,
        example=_EXAMPLE,
    ),
    asks(
        "POST",
        "/api/workflows/import",
        workflows.IMPORT_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Import a workflow",
        description="All that the file holds is made anew, under ids of its own here.",
        view=_SAVED,
        status=201,
        omit_absent=True,
    ),
    asks(
        "GET",
        _WORKFLOW,
        workflows.GET_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Get a workflow with its payloads",
        omit_absent=True,
    ),
    asks(
        "PUT",
        _WORKFLOW,
        workflows.UPDATE_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Change a workflow",
        description="Changes the given fields, which makes the next version. Runs keep the version they started with.",
        view=_SAVED,
        omit_absent=True,
        example={"name": "Updated Analysis Workflow", "payloads": [1, 3, 2]},
    ),
    asks(
        "DELETE",
        _WORKFLOW,
        workflows.DELETE_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Delete a workflow",
        description="Its payloads and its runs stay.",
        view=view(Told, deleted_workflow),
    ),
    asks(
        "GET",
        f"{_WORKFLOW}/versions",
        workflows.LIST_WORKFLOW_VERSIONS,
        tag=Tag.WORKFLOWS,
        summary="List the versions of a workflow",
        description="Newest first.",
        omit_absent=True,
    ),
    asks(
        "GET",
        f"{_WORKFLOW}/export",
        workflows.EXPORT_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Export a workflow",
        description="One JSON file with its payloads and their blocks, for `POST /api/workflows/import`.",
        omit_absent=True,
    ),
    asks(
        "POST",
        f"{_WORKFLOW}/versions/{{version}}/restore",
        workflows.RESTORE_WORKFLOW,
        tag=Tag.WORKFLOWS,
        summary="Restore an older version of a workflow",
        description="What it was then becomes its next version. Refused where what it refers to is gone.",
        view=_SAVED,
        omit_absent=True,
    ),
)
