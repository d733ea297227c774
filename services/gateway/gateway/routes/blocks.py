"""Rows of blocks (document C): the texts that payloads are made of."""

from contracts import workflows
from contracts.workflows import BlockFilter
from gateway.domain.orchestration import BlockArray, Told, deleted_block
from gateway.routes.table import Route, Special, Tag, asks, view

_BLOCKS = "/api/blocks"
_BLOCK = "/api/blocks/{block_id}"
_EXAMPLE = {
    "title": "Introduction",
    "content": "This is an introduction block",
    "tags": "intro,greeting",
    "folder_path": "Common",
}

BLOCKS = (
    Route(
        method="GET",
        path=_BLOCKS,
        tag=Tag.WORKFLOWS,
        summary="List blocks",
        description=(
            "`folder` also finds what is in its folders, `tag` is one of the tags, `search` a part of title or content."
        ),
        role="viewer",
        request=BlockFilter,
        response=BlockArray,
        special=Special.LIST_BLOCKS,
    ),
    asks(
        "POST",
        _BLOCKS,
        workflows.CREATE_BLOCK,
        tag=Tag.WORKFLOWS,
        summary="Create a block",
        description=(
            "`{name}` in its content is replaced by the response of the earlier payload, or the run's input, of that"
            " name, and stays as it is where there is none. Nothing is evaluated."
        ),
        status=201,
        example=_EXAMPLE,
    ),
    asks("GET", _BLOCK, workflows.GET_BLOCK, tag=Tag.WORKFLOWS, summary="Get a block"),
    asks(
        "PUT",
        _BLOCK,
        workflows.UPDATE_BLOCK,
        tag=Tag.WORKFLOWS,
        summary="Change a block",
        description="Changes the given fields, which makes the next version. Runs keep the version they started with.",
        example=_EXAMPLE | {"title": "Updated Introduction"},
    ),
    asks(
        "DELETE",
        _BLOCK,
        workflows.DELETE_BLOCK,
        tag=Tag.WORKFLOWS,
        summary="Delete a block",
        description="One that payloads use is not deleted, unless `force=true` takes it out of them.",
        view=view(Told, deleted_block),
    ),
    asks(
        "GET",
        "/api/blocks/{block_id}/versions",
        workflows.LIST_BLOCK_VERSIONS,
        tag=Tag.WORKFLOWS,
        summary="List the versions of a block",
        description="Newest first.",
    ),
    asks(
        "POST",
        "/api/blocks/{block_id}/versions/{version}/restore",
        workflows.RESTORE_BLOCK,
        tag=Tag.WORKFLOWS,
        summary="Restore an older version of a block",
        description="What it was then becomes its next version. Refused where what it refers to is gone.",
    ),
)
