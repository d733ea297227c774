"""What people did to jobs while they went on, for the workers that hold their steps."""

from collections import defaultdict
from collections.abc import Mapping

from common.database import Connection
from contracts.orchestrator import JobAction, StepAdjustment
from orchestrator.domain.records import Claim

_INSERT = """
    INSERT INTO job_steering (run, action, actor, agent_name, learning_rate) VALUES ($1, $2, $3, $4, $5)
    RETURNING number
"""

_OF_CLAIM = """
    SELECT number, learning_rate, actor FROM job_steering
    WHERE run = $1 AND action = 'adjust' AND (agent_name IS NULL OR agent_name = $2) ORDER BY number
"""

_PAUSED = """
    SELECT steps.id FROM steps JOIN runs ON runs.id = steps.run
    WHERE steps.id = ANY ($1::bigint[]) AND runs.paused AND runs.status = 'active'
"""

_SINCE = """
    SELECT held.id, number, learning_rate, actor
    FROM unnest($1::bigint[], $2::bigint[]) AS held (id, adjusted)
    JOIN steps USING (id) JOIN job_steering ON job_steering.run = steps.run
    WHERE action = 'adjust' AND number > adjusted AND (agent_name IS NULL OR agent_name = steps.name)
    ORDER BY held.id, number
"""


async def insert(
    connection: Connection,
    run: int,
    action: JobAction,
    actor: str,
    *,
    agent_name: str | None = None,
    learning_rate: float | None = None,
) -> int:
    """Keeps what was done to a run, which this transaction has locked; its number."""
    number: int = await connection.fetchval(_INSERT, run, action, actor, agent_name, learning_rate)
    return number


async def adjustments_of(connection: Connection, claim: Claim) -> list[StepAdjustment]:
    """All that hold for a step, oldest first."""
    rows = await connection.fetch(_OF_CLAIM, claim.run, claim.name)
    return [StepAdjustment(number=row["number"], learning_rate=row["learning_rate"], by=row["actor"]) for row in rows]


async def paused(connection: Connection, step_ids: list[int]) -> set[int]:
    """Those of the steps whose run is paused."""
    return {row["id"] for row in await connection.fetch(_PAUSED, step_ids)}


async def adjustments_since(connection: Connection, adjusted: Mapping[int, int]) -> dict[int, list[StepAdjustment]]:
    """Those that came after the numbers that the workers of these steps know of, by step."""
    found: defaultdict[int, list[StepAdjustment]] = defaultdict(list)
    for row in await connection.fetch(_SINCE, list(adjusted), list(adjusted.values())):
        found[row["id"]].append(
            StepAdjustment(number=row["number"], learning_rate=row["learning_rate"], by=row["actor"])
        )
    return found
