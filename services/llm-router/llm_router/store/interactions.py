"""Interactions, and the daily sums of what they used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from common.database import Connection, Record
from common.encoding import as_json
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
    "counted_by": "text",
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
        SELECT * FROM json_to_recordset($1::text::json) AS told({", ".join(map(" ".join, _COLUMNS.items()))})
        ON CONFLICT (interaction_id, created_at) DO NOTHING
        RETURNING created_at, model, principal, status, prompt_tokens, completion_tokens, cost, duration
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
    AND ($5::text IS NULL OR principal = $5) AND ($6::text IS NULL OR principal = $6)
    AND ($7::text IS NULL OR engine = $7) AND ($8::text IS NULL OR route = $8)
    AND ($9::text IS NULL OR trace_id = $9)
"""
_TEXTS = f"""
    left(input_text, {_SHOWN}) AS input_text, left(output_text, {_SHOWN}) AS output_text,
    length(input_text) > {_SHOWN} OR length(output_text) > {_SHOWN} AS truncated
"""

UsageColumn = Literal["day", "model", "key"]
_USAGE_COLUMNS: Mapping[UsageColumn, str] = {"day": "day", "model": "model", "key": "nullif(principal, '') AS key"}
_SUMS = """
    sum(requests)::bigint AS requests, sum(errors)::bigint AS errors, sum(cancelled)::bigint AS cancelled,
    sum(prompt_tokens)::bigint AS prompt_tokens, sum(completion_tokens)::bigint AS completion_tokens,
    sum(prompt_tokens + completion_tokens)::bigint AS total_tokens, sum(cost) AS cost,
    sum(unpriced)::bigint AS unpriced, sum(duration) / sum(requests) AS mean_duration
"""
_USAGE_FILTER = """
    day BETWEEN $1 AND $2 AND ($3::text IS NULL OR model = $3)
    AND ($4::text IS NULL OR principal = $4) AND ($5::text IS NULL OR principal = $5)
"""
_OTHERS = ", ".join(name for name in _COLUMNS if name not in ("input_text", "output_text"))


@dataclass(frozen=True)
class Filter:
    """Which interactions are wanted. Of `principal` alone, where it is given, whatever `key` asks for."""

    principal: str | None
    model: str | None = None
    status: InteractionStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    engine: str | None = None
    route: str | None = None
    trace_id: str | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        return (
            self.model,
            self.status,
            self.since,
            self.until,
            self.principal,
            self.key,
            self.engine,
            self.route,
            self.trace_id,
        )


@dataclass(frozen=True)
class Place:
    """Where a page ended: the next one begins after it."""

    created_at: datetime
    interaction_id: str


async def add_interactions(connection: Connection, interactions: Sequence[Interaction]) -> None:
    """Keeps each interaction once, however often it is told. The partitions of their days have to be there."""
    # As one JSON, which the two sides write and read in C; arrays of 20 columns cost more than all else here.
    await connection.execute(_ADD, as_json(list(interactions)).decode())


async def list_interactions(
    connection: Connection, wanted: Filter, *, limit: int, offset: int, after: Place | None
) -> list[KeptInteraction]:
    """Newest first, their texts cut."""
    query = (
        f"SELECT {_OTHERS}, {_TEXTS} FROM interactions WHERE {_FILTER}"  # noqa: S608 - made of constants
        " AND ($10::timestamptz IS NULL OR (created_at, interaction_id) < ($10, $11))"
        " ORDER BY created_at DESC, interaction_id DESC LIMIT $12 OFFSET $13"
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


async def usage(
    connection: Connection,
    columns: Sequence[UsageColumn],
    *,
    model: str | None,
    key: str | None,
    since: date,
    until: date,
    principal: str | None,
    limit: int,
    offset: int,
) -> tuple[list[UsageRow], int]:
    """A page of sums by `columns`, newest day first, and how many there are; `principal` as in `Filter`."""
    grouped = (
        f"SELECT {', '.join(_USAGE_COLUMNS[column] for column in columns)}, {_SUMS}"  # noqa: S608 - made of constants
        f" FROM usage_by_day WHERE {_USAGE_FILTER} GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}"
    )
    order = ", ".join("day DESC" if column == "day" else column for column in columns)
    wanted = (since, until, model, principal, key)
    rows = await connection.fetch(f"{grouped} ORDER BY {order} LIMIT $6 OFFSET $7", *wanted, limit, offset)
    total: int = await connection.fetchval(f"SELECT count(*) FROM ({grouped}) AS sums", *wanted)  # noqa: S608
    return [UsageRow(**row) for row in rows], total


def _kept(row: Record) -> KeptInteraction:
    fields = {name: value for name, value in row.items() if name != "principal"}
    fields["total_tokens"] = row["prompt_tokens"] + row["completion_tokens"]
    return KeptInteraction(**fields, key=row["principal"])
