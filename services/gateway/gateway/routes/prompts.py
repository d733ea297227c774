"""Rows of prompts (document A, and what is needed to keep them)."""

from contracts import prompts
from contracts.base import Empty
from gateway.domain.actions import PromptEnvelope, PromptsEnvelope, Succeeded, deleted_prompt, one_prompt
from gateway.routes.table import Route, Special, Tag, asks, view

_ONE = view(PromptEnvelope, one_prompt)

PROMPTS = (
    Route(
        method="GET",
        path="/api/v1/llm/prompts",
        tag=Tag.ACTIONS,
        summary="List prompts",
        role="viewer",
        request=Empty,
        response=PromptsEnvelope,
        special=Special.LIST_PROMPTS,
    ),
    asks(
        "POST",
        "/api/v1/llm/prompts",
        prompts.CREATE_PROMPT,
        tag=Tag.ACTIONS,
        summary="Create a prompt",
        description=(
            "`{name}` in its content is a variable: letters, digits and underscores. A brace itself is written twice."
            " Values are put in their places, and nothing is evaluated."
        ),
        view=_ONE,
        status=201,
        example={"name": "Headline", "content": "Write a headline about {topic} for {audience}."},
    ),
    asks(
        "GET",
        "/api/v1/llm/prompts/{prompt_id}",
        prompts.GET_PROMPT,
        tag=Tag.ACTIONS,
        summary="Get a prompt",
        view=_ONE,
    ),
    asks(
        "PUT",
        "/api/v1/llm/prompts/{prompt_id}",
        prompts.UPDATE_PROMPT,
        tag=Tag.ACTIONS,
        summary="Change a prompt",
        description="Changes the given fields. Another content becomes the next version; the versions before stay.",
        view=_ONE,
        example={"content": "Write a short headline about {topic}."},
    ),
    asks(
        "DELETE",
        "/api/v1/llm/prompts/{prompt_id}",
        prompts.DELETE_PROMPT,
        tag=Tag.ACTIONS,
        summary="Delete a prompt",
        description="One that an action uses is not deleted.",
        view=view(Succeeded, deleted_prompt),
    ),
    asks(
        "GET",
        "/api/v1/llm/prompts/{prompt_id}/versions",
        prompts.LIST_PROMPT_VERSIONS,
        tag=Tag.ACTIONS,
        summary="List the versions of a prompt",
        description="Newest first.",
    ),
)
