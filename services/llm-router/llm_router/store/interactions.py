"""Interactions, and the daily sums of what they used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from common.database import Connection, Record
from contracts.interactions import InteractionStatus, KeptInteraction, UsageRow
from contracts.router import Interaction

_SHOWN = 2_000
"""Characters of a text that lists show."""

_COLUMNS = {
    "interaction_id": "text",
    "route": "text",
    "model": "text",
    "requested_model": "text",
    "engine": "text",
    "input_text": "text",
    "output_text": "text",
    "parameters": "jsonb",
    "status": "text",
    "error_message": "text",
    "error_type": "text",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "cost": "numeric",
    "duration": "double precision",
    "time_to_first_token": "double precision",
    "principal": "text",
    "trace_id": "text",
    "created_at": "timestamptz",
}

# Only what was not there before counts, so one that is told twice is summed up once. Sums are taken in order, so that
# two replicas lock the rows of a day in the same order.
_ADD = f"""
    WITH added AS (
        INSERT INTO interactions ({", ".join(_COLUMNS)})
        SELECT * FROM unnest({", ".join(f"${i}::{kind}[]" for i, kind in enumerate(_COLUMNS.values(), 1))})
        ON CONFLICT (interaction_id, created_at) DO NOTHING
        RETURNING *
    )
    INSERT INTO usage_by_day AS known (
        day, model, principal, requests, errors, cancelled, prompt_tokens, completion_tokens, cost, unpriced, duration
    )
    SELECT
        (created_at AT TIME ZONE 'UTC')::date AS day, model, coalesce(principal, '') AS principal, count(*),
        count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled'),
        sum(prompt_tokens), sum(completion_tokens), coalesce(sum(cost), 0),
        count(*) FILTER (WHERE status = 'completed' AND cost IS NULL), sum(duration)
    FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (day, model, principal) DO UPDATE SET
        requests = known.requests + EXCLUDED.requests,
        errors = known.errors + EXCLUDED.errors,
        cancelled = known.cancelled + EXCLUDED.cancelled,
        prompt_tokens = known.prompt_tokens + EXCLUDED.prompt_tokens,
        completion_tokens = known.completion_tokens + EXCLUDED.completion_tokens,
        cost = known.cost + EXCLUDED.cost,
        unpriced = known.unpriced + EXCLUDED.unpriced,
        duration = known.duration + EXCLUDED.duration
"""  # noqa: S608 - made of constants

_FILTER = """
    ($1::text IS NULL OR model = $1 OR requested_model = $1) AND ($2::text IS NULL OR status = $2)
    AND ($3::timestamptz IS NULL OR created_at >= $3) AND ($4::timestamptz IS NULL OR created_at < $4)
    AND ($5::text IS NULL OR principal = $5)
"""
_TEXTS = f"""
    left(input_text, {_SHOWN}) AS input_text, left(output_text, {_SHOWN}) AS output_text,
    length(input_text) > {_SHOWN} OR length(output_text) > {_SHOWN} AS truncated
"""
_OTHERS = ", ".join(name for name in _COLUMNS if name not in ("input_text", "output_text"))


@dataclass(frozen=True)
class Filter:
    """Which interactions are wanted; `principal` is the key of the only caller whose they are, None means all."""

    model: str | None = None
    status: InteractionStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    principal: str | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        return self.model, self.status, self.since, self.until, self.principal


@dataclass(frozen=True)
class Place:
    """Where a page ended: the next one begins after it."""

    created_at: datetime
    interaction_id: str


async def add_interactions(connection: Connection, interactions: Sequence[Interaction]) -> None:
    """Keeps each interaction once, however often it is told. The partitions of their days have to be there."""
    columns = [[getattr(interaction, name) for interaction in interactions] for name in _COLUMNS]
    await connection.execute(_ADD, *columns)


async def list_interactions(
    connection: Connection, wanted: Filter, *, limit: int, offset: int, after: Place | None
) -> list[KeptInteraction]:
    """Newest first, their texts cut."""
    query = (
        f"SELECT {_OTHERS}, {_TEXTS} FROM interactions WHERE {_FILTER}"  # noqa: S608 - made of constants
        " AND ($6::timestamptz IS NULL OR (created_at, interaction_id) < ($6, $7))"
        " ORDER BY created_at DESC, interaction_id DESC LIMIT $8 OFFSET $9"
    )
    place = (after.created_at, after.interaction_id) if after is not None else (None, None)
    return [_kept(row) for row in await connection.fetch(query, *wanted.values, *place, limit, offset)]


async def count_interactions(connection: Connection, wanted: Filter) -> int:
    count: int = await connection.fetchval(f"SELECT count(*) FROM interactions WHERE {_FILTER}", *wanted.values)  # noqa: S608
    return count


async def get_interaction(connection: Connection, interaction_id: str, principal: str | None) -> KeptInteraction | None:
    """With its whole texts; `principal` as in `Filter`."""
    row = await connection.fetchrow(
        "SELECT *, false AS truncated FROM interactions"
        " WHERE interaction_id = $1 AND ($2::text IS NULL OR principal = $2)",
        interaction_id,
        principal,
    )
    return _kept(row) if row is not None else None


async def usage_by_day(
    connection: Connection,
    *,
    model: str | None,
    since: date,
    until: date,
    principal: str | None,
    limit: int,
    offset: int,
) -> tuple[list[UsageRow], int]:
    """A page of rows, newest day first, and how many there are; `principal` as in `Filter`."""
    rows = await connection.fetch(
        "SELECT day, model, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,"
        " sum(cancelled)::bigint AS cancelled, sum(prompt_tokens)::bigint AS prompt_tokens,"
        " sum(completion_tokens)::bigint AS completion_tokens,"
        " sum(prompt_tokens + completion_tokens)::bigint AS total_tokens, sum(cost) AS cost,"
        " sum(unpriced)::bigint AS unpriced, sum(duration) / sum(requests) AS mean_duration,"
        " count(*) OVER () AS total"
        " FROM usage_by_day WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR model = $3)"
        " AND ($4::text IS NULL OR principal = $4)"
        " GROUP BY day, model ORDER BY day DESC, model LIMIT $5 OFFSET $6",
        since,
        until,
        model,
        principal,
        limit,
        offset,
    )
    return [_usage(row) for row in rows], rows[0]["total"] if rows else offset


def _usage(row: Record) -> UsageRow:
    return UsageRow(**{name: value for name, value in row.items() if name != "total"})


def _kept(row: Record) -> KeptInteraction:
    fields = {name: value for name, value in row.items() if name != "principal"}
    fields["total_tokens"] = row["prompt_tokens"] + row["completion_tokens"]
    return KeptInteraction(**fields, key=row["principal"])
