"""Rows of actions (documents A and B): kept, executed, their runs and history, and template settings."""

from contracts import actions
from contracts.base import Empty, RefusalCode
from gateway.domain.actions import (
    ActionList,
    ActionOrTemplates,
    ActionRunEnvelope,
    NamedAction,
    SavedAction,
    SavedTemplate,
    Succeeded,
    action_run,
    deleted_action,
    saved_action,
    saved_template,
)
from gateway.routes.table import Quota, Route, Special, Tag, asks, executes, view

ACTIONS = (
    Route(
        method="GET",
        path="/api/v1/llm/actions",
        tag=Tag.ACTIONS,
        summary="List actions",
        description=(
            "In the envelope of document A, or as document B's bare array: the key's own style, unless"
            " `X-Response-Style` names another. An action carries the fields of both."
        ),
        role="viewer",
        request=Empty,
        response=ActionList,
        special=Special.LIST_ACTIONS,
        refusals=(RefusalCode.INVALID,),
    ),
    asks(
        "POST",
        "/api/v1/llm/actions",
        actions.CREATE_ACTION,
        tag=Tag.ACTIONS,
        summary="Create an action",
        description=(
            "`field_name` may also be called `output_field`, and `llm_model` `model`. Without `prompt_version` the"
            " action follows its prompt."
        ),
        view=view(SavedAction, saved_action),
        example={"field_name": "summary", "prompt_template_id": 1, "llm_model": "default"},
    ),
    asks(
        "POST",
        "/api/v1/llm/actions/",
        actions.SAVE_TEMPLATE,
        tag=Tag.ACTIONS,
        summary="Save template settings",
        description=(
            "Note the slash. A `template_name` that the source field has not makes a new template; without one, the"
            " template that was saved last changes."
        ),
        view=view(SavedTemplate, saved_template),
        example={
            "source_field": "idea_seed",
            "template": "Generate a summary based on the following idea: {idea_seed}",
            "llm_model": "default",
            "temperature": 0.7,
            "max_tokens": 1000,
            "template_name": "Short summary",
        },
    ),
    Route(
        method="GET",
        path="/api/v1/llm/actions/{action_id}",
        tag=Tag.ACTIONS,
        summary="Get an action, or the template settings of a source field",
        description="Digits are the id of an action. Anything else is a source field, whose templates are told.",
        role="viewer",
        request=NamedAction,
        response=ActionOrTemplates,
        special=Special.NAMED_ACTION,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    asks(
        "PUT",
        "/api/v1/llm/actions/{action_id}",
        actions.UPDATE_ACTION,
        tag=Tag.ACTIONS,
        summary="Change an action",
        description="Changes the given fields. `prompt_version` 0 follows the prompt again.",
        view=view(SavedAction, saved_action),
        example={"temperature": 0.2, "max_tokens": 500},
    ),
    asks(
        "DELETE",
        "/api/v1/llm/actions/{action_id}",
        actions.DELETE_ACTION,
        tag=Tag.ACTIONS,
        summary="Delete an action",
        description="What the content endpoints run can be changed, and not deleted.",
        view=view(Succeeded, deleted_action),
    ),
    executes(
        "/api/v1/llm/actions/{action_id}/execute",
        actions.EXECUTE_ACTION,
        tag=Tag.ACTIONS,
        summary="Execute an action",
        description=(
            "`input_data` holds the prompt's variables; those that are missing are named. An execution that fails is"
            " kept as a failed run with its error. The same `Idempotency-Key` executes once."
        ),
        view=view(ActionRunEnvelope, action_run),
        quota=Quota.EXECUTION,
        example={"input_data": {"idea_seed": "Initial idea for the post"}},
    ),
    asks(
        "GET",
        "/api/v1/llm/actions/{action_id}/runs",
        actions.LIST_ACTION_RUNS,
        tag=Tag.ACTIONS,
        summary="List the runs of an action",
        description="Newest first.",
    ),
    asks(
        "GET",
        "/api/v1/llm/actions/{action_id}/runs/{run_id}",
        actions.GET_ACTION_RUN,
        tag=Tag.ACTIONS,
        summary="Get a run of an action",
        view=view(ActionRunEnvelope, action_run),
    ),
    asks(
        "GET",
        "/api/v1/llm/actions/{action_id}/history",
        actions.GET_HISTORY,
        tag=Tag.ACTIONS,
        summary="Get the history of an action",
        description="Newest first: the whole prompt that the model was given, and what it answered.",
    ),
)
