"""Runs of workflows: what document C says of them, beside the engine's own rows."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from common.database import Connection
from contracts.workflow_runs import ListWorkflowRuns, RunResponse, RunStatus
from contracts.workflows import WorkflowSnapshot
from orchestrator.domain.workflows.fanout import KeptItem, kept_item
from orchestrator.domain.workflows.responses import kept, shown
from orchestrator.domain.workflows.runs import Done, NewWorkflowRun, WorkflowRunRecord

_INSERT = """
    INSERT INTO workflow_runs (
        run, workflow_id, workflow_version, workflow_name, inputs, total_payloads, parent, trigger, trigger_id
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id
"""

_SELECT = """
    SELECT workflow_runs.id, runs.run_id, runs.owner, workflow_id, workflow_version, workflow_name, inputs, parent,
        runs.options -> 'from_payload' AS from_payload, trigger, trigger_id, total_payloads,
        (SELECT count(*) FROM steps WHERE steps.run = runs.id AND steps.status = 'completed' AND part_of IS NULL)
            AS completed_payloads,
        ARRAY(
            SELECT name FROM steps WHERE steps.run = runs.id AND steps.status = 'paused' AND asked ORDER BY position
        ) AS awaiting_approval,
        runs.status, runs.paused, runs.error, runs.created_at, runs.finished_at
    FROM workflow_runs JOIN runs ON runs.id = workflow_runs.run
"""

_PAGE = """
    WHERE {of_status} AND ($1::bigint IS NULL OR workflow_id = $1) AND ($2::text IS NULL OR runs.owner = $2)
        AND ($3::text IS NULL OR trigger = $3) AND ($4::bigint IS NULL OR trigger_id = $4)
        AND ($5::bigint IS NULL OR workflow_runs.id < $5)
    ORDER BY workflow_runs.id DESC LIMIT $6
"""

_OF_STATUS: dict[RunStatus | None, str] = {
    None: "true",
    "running": "runs.status = 'active' AND NOT runs.paused",
    "paused": "runs.status = 'active' AND runs.paused",
    "completed": "runs.status = 'completed'",
    "failed": "runs.status = 'failed'",
    "cancelled": "runs.status = 'cancelled'",
}

_PINNED = "SELECT definition FROM runs JOIN workflow_runs ON workflow_runs.run = runs.id WHERE {which}"

_PINNED_RUN = """
    SELECT workflow_runs.id, owner, definition FROM workflow_runs JOIN runs ON runs.id = workflow_runs.run
    WHERE runs.run_id = $1
"""

_WATCHED = """
    SELECT owner, CASE WHEN status <> 'active' THEN status WHEN paused THEN 'paused' ELSE 'running' END AS status,
        extract(epoch FROM clock_timestamp() - finished_at)::double precision AS seconds_since_end
    FROM workflow_runs JOIN runs ON runs.id = workflow_runs.run WHERE workflow_runs.id = $1
"""

# In the order of the payloads, which the ids of a run's steps follow.
_RESPONSES = """
    SELECT steps.id, workflow_runs.id AS run_id, steps.name, steps.output, steps.finished_at
    FROM workflow_runs JOIN steps ON steps.run = workflow_runs.run
    WHERE workflow_runs.id = $1 AND steps.status = 'completed' AND part_of IS NULL AND steps.id > $2
    ORDER BY steps.id LIMIT $3
"""

_OUTPUTS = """
    SELECT position, part_of, config, output FROM steps JOIN workflow_runs ON workflow_runs.run = steps.run
    WHERE workflow_runs.id = $1 AND status = 'completed' ORDER BY position
"""


async def insert(connection: Connection, run: int, new: NewWorkflowRun) -> int:
    """The id of the new run, which the engine's `run` carries out."""
    pinned = new.snapshot
    number: int = await connection.fetchval(
        _INSERT,
        run,
        pinned.workflow_id,
        pinned.version,
        pinned.name,
        new.inputs,
        len(pinned.payloads),
        new.parent,
        new.by.trigger,
        new.by.id,
    )
    return number


async def get(connection: Connection, run_id: int) -> WorkflowRunRecord | None:
    row = await connection.fetchrow(_SELECT + " WHERE workflow_runs.id = $1", run_id)
    return None if row is None else WorkflowRunRecord(**row)


async def find(connection: Connection, kind: str, owner: str, idempotency_key: str) -> WorkflowRunRecord | None:
    """The run that the owner started under that key."""
    which = " WHERE runs.kind = $1 AND runs.owner = $2 AND runs.idempotency_key = $3"
    row = await connection.fetchrow(_SELECT + which, kind, owner, idempotency_key)
    return None if row is None else WorkflowRunRecord(**row)


async def newest(connection: Connection, asked: ListWorkflowRuns, *, owner: str | None) -> list[WorkflowRunRecord]:
    """Those that were asked for, of that owner, of all where there is None."""
    page = _PAGE.format(of_status=_OF_STATUS[asked.status])
    rows = await connection.fetch(
        _SELECT + page, asked.workflow_id, owner, asked.trigger, asked.trigger_id, asked.before, asked.limit
    )
    return [WorkflowRunRecord(**row) for row in rows]


async def pinned(connection: Connection, run_id: int) -> WorkflowSnapshot | None:
    """What the run carries out; None where there is no such run."""
    definition = await connection.fetchval(_PINNED.format(which="workflow_runs.id = $1"), run_id)
    return None if definition is None else WorkflowSnapshot.model_validate(definition)


@dataclass(frozen=True)
class PinnedRun:
    """A run as its steps see it: document C's id of it, who started it, and what it carries out."""

    id: int
    owner: str
    snapshot: WorkflowSnapshot


async def pinned_by(connection: Connection, engine_run_id: str) -> PinnedRun | None:
    """As `pinned`, by the engine's id of the run."""
    row = await connection.fetchrow(_PINNED_RUN, engine_run_id)
    if row is None:
        return None
    return PinnedRun(row["id"], row["owner"], WorkflowSnapshot.model_validate(row["definition"]))


@dataclass(frozen=True)
class Watched:
    """What watching a run begins with. `seconds_since_end` is None while it goes on."""

    owner: str
    status: RunStatus
    seconds_since_end: float | None


async def watched(connection: Connection, run_id: int) -> Watched | None:
    row = await connection.fetchrow(_WATCHED, run_id)
    return None if row is None else Watched(**row)


async def responses(connection: Connection, run_id: int, *, after: int, limit: int) -> list[RunResponse]:
    rows = await connection.fetch(_RESPONSES, run_id, after, limit)
    return [
        RunResponse(
            id=row["id"],
            run_id=row["run_id"],
            payload_id=row["output"]["payload_id"],
            payload_name=row["name"],
            content=shown(row["output"]["content"]),
            prompt=row["output"]["prompt"],
            metadata=row["output"]["metadata"],
            created_at=row["finished_at"],
        )
        for row in rows
    ]


async def done(connection: Connection, run_id: int) -> Done:
    """What the run has put out."""
    outputs: dict[int, dict[str, Any]] = {}
    items: defaultdict[int, list[KeptItem]] = defaultdict(list)
    for row in await connection.fetch(_OUTPUTS, run_id):
        if row["part_of"] is None:
            outputs[row["position"]] = row["output"]
        else:
            items[row["part_of"]].append(kept_item(row["config"], row["output"]))
    return Done(
        {position: kept(output) for position, output in outputs.items()},
        {position: found for position, found in items.items() if position not in outputs},
    )


async def delete(connection: Connection, run: int) -> None:
    """Removes the engine's run and all that belongs to it."""
    await connection.execute("DELETE FROM runs WHERE id = $1", run)
