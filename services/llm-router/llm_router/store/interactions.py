"""Interactions by day, and the daily sums of what they used."""

from collections.abc import Sequence

from common.database import Connection
from contracts.router import Interaction


async def add_interactions(connection: Connection, interactions: Sequence[Interaction]) -> None:
    """Keeps each interaction once, however often it is told."""
    await connection.executemany(
        "INSERT INTO interactions (interaction_id, route, model, engine, input_text, output_text, parameters, status,"
        " error_message, prompt_tokens, completion_tokens, duration, time_to_first_token, principal, trace_id,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        " ON CONFLICT (interaction_id) DO NOTHING",
        [
            (
                i.interaction_id,
                i.route,
                i.model,
                i.engine,
                i.input_text,
                i.output_text,
                i.parameters,
                i.status,
                i.error_message,
                i.prompt_tokens,
                i.completion_tokens,
                i.duration,
                i.time_to_first_token,
                i.principal,
                i.trace_id,
                i.created_at,
            )
            for i in interactions
        ],
    )
