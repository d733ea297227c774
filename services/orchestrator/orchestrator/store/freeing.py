"""Training steps whose checkpoints nobody will go on from, and those of them whose are gone."""

from collections.abc import Sequence

from common.database import Connection
from contracts.orchestrator import EndedStep

_AT_ONCE = 100

_TO_FREE = """
    SELECT steps.id AS step_id, runs.run_id, steps.name AS agent_name, steps.status = 'cancelled' AS cancelled
    FROM steps JOIN runs ON runs.id = steps.run
    WHERE steps.kind = 'TrainingAgent' AND runs.status <> 'active' AND steps.finished_at IS NOT NULL
        AND greatest(steps.finished_at, runs.finished_at) <= statement_timestamp() - make_interval(
            secs => CASE WHEN steps.status = 'failed' THEN $1::double precision ELSE $2 END
        )
        AND NOT EXISTS (SELECT FROM freed_steps WHERE step = steps.id)
        -- A retry takes up what the run before it left.
        AND NOT EXISTS (
            SELECT FROM runs AS later WHERE later.status = 'active' AND later.options ->> 'resumes' = runs.run_id
        )
    ORDER BY steps.id LIMIT $3
"""


async def to_free(connection: Connection, *, retention: float, grace: float) -> list[EndedStep]:
    """Some of the steps, the oldest first. A failed one can be gone on from for `retention` seconds; others end for
    good, but whoever worked on them may take `grace` seconds to stop."""
    rows = await connection.fetch(_TO_FREE, retention, grace, _AT_ONCE)
    return [EndedStep(**row) for row in rows]


async def freed(connection: Connection, step_ids: Sequence[int]) -> None:
    """Notes that the steps' checkpoints are gone. A repeated call changes nothing, nor does one about no step."""
    await connection.execute(
        "INSERT INTO freed_steps (step) SELECT id FROM steps WHERE id = ANY ($1::bigint[]) ON CONFLICT DO NOTHING",
        list(step_ids),
    )
