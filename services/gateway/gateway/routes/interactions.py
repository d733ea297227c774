"""Rows about what was asked and answered (document B's interaction tracking), and what it used."""

from contracts import interactions
from gateway.routes.table import Tag, asks

INTERACTIONS = (
    asks(
        "GET",
        "/api/v1/llm/interactions",
        interactions.LIST_INTERACTIONS,
        tag=Tag.LLM,
        summary="List what was asked and answered",
        description=(
            "Every completion of any route, newest first, a moment after it has ended. An administrator sees all,"
            " everybody else their own."
        ),
    ),
    asks(
        "GET",
        "/api/v1/llm/interactions/{interaction_id}",
        interactions.GET_INTERACTION,
        tag=Tag.LLM,
        summary="Get what was asked and answered",
        description="With its whole texts. An administrator sees all, everybody else their own.",
    ),
    asks(
        "GET",
        "/api/v1/llm/usage",
        interactions.GET_USAGE,
        tag=Tag.LLM,
        summary="Get what was used",
        description=(
            "Requests, tokens and cost by day, model and key, as `group_by` says. An administrator sees all, everybody"
            " else their own. It outlives the interactions, which are kept for a time."
        ),
    ),
)
