"""Rows of payloads (document C): a prompt of blocks, and the instance that answers it."""

from contracts import workflows
from contracts.workflows import PayloadFilter
from gateway.domain.orchestration import PayloadArray, SavedPayload, Told, deleted_payload, saved_payload
from gateway.routes.table import Route, Special, Tag, asks, view

_PAYLOADS = "/api/payloads"
_PAYLOAD = "/api/payloads/{payload_id}"
_SAVED = view(SavedPayload, saved_payload)
_EXAMPLE = {
    "name": "Initial Request",
    "temperature": 0.7,
    "response_length": 1000,
    "llm_port": 5001,
    "model_format": "mistral",
    "blocks": [1, 2, 3],
}

PAYLOADS = (
    Route(
        method="GET",
        path=_PAYLOADS,
        tag=Tag.WORKFLOWS,
        summary="List payloads",
        description="With their blocks. `search` is a part of the name, `block_id` a block that they use.",
        role="viewer",
        request=PayloadFilter,
        response=PayloadArray,
        special=Special.LIST_PAYLOADS,
    ),
    asks(
        "POST",
        _PAYLOADS,
        workflows.CREATE_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Create a payload",
        description=(
            "Its prompt is its blocks in order, in the `model_format`; `chat` leaves that to the engine. In a workflow"
            " it starts when the payload before it has ended, or when those that `depends_on` names have."
        ),
        view=_SAVED,
        status=201,
        omit_absent=True,
        example=_EXAMPLE,
    ),
    asks(
        "GET",
        _PAYLOAD,
        workflows.GET_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Get a payload with its blocks",
        omit_absent=True,
    ),
    asks(
        "PUT",
        _PAYLOAD,
        workflows.UPDATE_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Change a payload",
        description=(
            "Changes the given fields, which makes the next version; null takes an option away. What would leave a"
            " workflow with a reference to nothing, or going round in circles, is refused."
        ),
        view=_SAVED,
        omit_absent=True,
        example=_EXAMPLE | {"name": "Updated Request", "blocks": [1, 4, 5]},
    ),
    asks(
        "DELETE",
        _PAYLOAD,
        workflows.DELETE_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Delete a payload",
        description="One that workflows use is not deleted, unless `force=true` takes it out of them.",
        view=view(Told, deleted_payload),
    ),
    asks(
        "GET",
        "/api/payloads/{payload_id}/versions",
        workflows.LIST_PAYLOAD_VERSIONS,
        tag=Tag.WORKFLOWS,
        summary="List the versions of a payload",
        description="Newest first.",
        omit_absent=True,
    ),
    asks(
        "POST",
        "/api/payloads/{payload_id}/versions/{version}/restore",
        workflows.RESTORE_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Restore an older version of a payload",
        description="What it was then becomes its next version. Refused where what it refers to is gone.",
        view=_SAVED,
        omit_absent=True,
    ),
    asks(
        "POST",
        _PAYLOAD + "/preview",
        workflows.PREVIEW_PAYLOAD,
        tag=Tag.WORKFLOWS,
        summary="Preview the prompt of a payload",
        description="With these `inputs`, and the names in braces that none of them gives. No instance is asked.",
        role="viewer",
        example={"inputs": {"topic": "rivers", "Initial Request": "The Nile"}},
    ),
)
