"""The items of payloads that are done for each of a list: parts of steps, as document C's runs show them."""

from common.database import Connection, Record
from contracts.workflow_runs import ItemCounts, ItemStatus, ListRunItems, ResponseMetadata, RunItem

_OF_RUN = """
    FROM workflow_runs
    JOIN steps AS whole ON whole.run = workflow_runs.run AND whole.parts > 0
    JOIN steps AS part ON part.run = whole.run AND part.part_of = whole.position
    WHERE workflow_runs.id = $1
"""

_COUNTS = f"""
    SELECT (whole.config ->> 'payload_id')::bigint AS payload_id, whole.name AS payload_name, whole.parts AS total,
        count(*) FILTER (WHERE part.status = 'running') AS running,
        count(*) FILTER (WHERE part.status = 'completed') AS completed,
        count(*) FILTER (WHERE part.status = 'failed') AS failed
    {_OF_RUN} GROUP BY whole.id ORDER BY whole.position
"""

_ASKED = (
    f"{_OF_RUN} AND ($2::integer IS NULL OR whole.position = $2) AND ($3::text[] IS NULL OR part.status = ANY ($3))"
)
_COUNT = f"SELECT count(*) {_ASKED}"
_PAGE = f"""
    SELECT whole.name AS payload_name, part.config, part.status, part.attempt, part.output, part.error,
        part.started_at, part.finished_at
    {_ASKED} ORDER BY part.part_of, part.position LIMIT $4 OFFSET $5
"""

_STATUSES: dict[ItemStatus, list[str]] = {
    "pending": ["waiting", "ready", "paused"],
    "running": ["running"],
    "completed": ["completed"],
    "failed": ["failed"],
    "cancelled": ["cancelled", "skipped"],
}
_SHOWN = {engine: shown for shown, engines in _STATUSES.items() for engine in engines}


async def counts(connection: Connection, run_id: int) -> list[ItemCounts]:
    """Of each payload whose list is known."""
    return [ItemCounts(**row) for row in await connection.fetch(_COUNTS, run_id)]


async def page(connection: Connection, request: ListRunItems, *, position: int | None) -> tuple[list[RunItem], int]:
    """The items that were asked for, of the payload at `position` where one was named, and how many there are."""
    statuses = None if request.status is None else _STATUSES[request.status]
    total = await connection.fetchval(_COUNT, request.run_id, position, statuses)
    rows = await connection.fetch(_PAGE, request.run_id, position, statuses, request.limit, request.offset)
    return [_item(row) for row in rows], total


def _item(row: Record) -> RunItem:
    config, output, error = row["config"], row["output"], row["error"]
    return RunItem(
        payload_id=config["payload_id"],
        payload_name=row["payload_name"],
        item=config["item"],
        text=config["text"],
        status=_SHOWN[row["status"]],
        attempts=row["attempt"],
        content=None if output is None else output["content"],
        prompt=None if output is None else output["prompt"],
        metadata=None if output is None else ResponseMetadata.model_validate(output["metadata"]),
        error=None if error is None else error["message"],
        started_at=row["started_at"],
        completed_at=row["finished_at"],
    )
