"""What all interactions together amount to."""

from common.database import Connection
from contracts.metrics import RouterMetrics

_MEASURE = """
    WITH recent AS (
        SELECT sum(completion_tokens) AS tokens, sum(duration) AS seconds, avg(duration) AS average
        FROM interactions
        WHERE status = 'completed' AND created_at > statement_timestamp() - make_interval(secs => $1)
    )
    SELECT
        CASE WHEN seconds > 0 THEN tokens / seconds END AS tokens_per_second,
        average AS average_response_time,
        (SELECT coalesce(sum(requests), 0)::bigint FROM usage_by_day) AS total_requests,
        (SELECT sum(cost)::double precision FROM usage_by_day
         WHERE cost > 0 OR requests > errors + cancelled + unpriced) AS cost
    FROM recent
"""


async def measure(connection: Connection, *, window: float) -> RouterMetrics:
    """Rates of the last `window` seconds, and totals."""
    row = await connection.fetchrow(_MEASURE, window)
    assert row is not None  # noqa: S101 - an aggregate always answers
    return RouterMetrics(**row)
