"""How a run of a workflow is entered: for its caller over the bus, or in the name of a schedule's owner."""

import secrets

from common.context import current
from common.database import Connection
from common.tracing import inject
from orchestrator.deps import Deps
from orchestrator.domain.records import Submission
from orchestrator.domain.workflows import runs as workflow_run
from orchestrator.domain.workflows.runs import KIND, NewWorkflowRun, WorkflowRunRecord
from orchestrator.engine import metrics
from orchestrator.store import runs, workflow_runs


async def enter(deps: Deps, connection: Connection, new: NewWorkflowRun) -> int | WorkflowRunRecord:
    """The id of the new run, or the run that was entered before under the key of the current call. Call `entered` once
    the transaction has committed."""
    submission = _submission_of(new)
    run = await runs.insert(connection, submission, workflow_run.plan_of(new, deps.policy), hint_pause=None)
    if run is None:
        key = submission.idempotency_key
        known = None if key is None else await workflow_runs.find(connection, KIND, submission.owner, key)
        assert known is not None  # noqa: S101 - the id is new, so it was the key that was taken
        return known
    return await workflow_runs.insert(connection, run.id, new)


def entered(deps: Deps, new: NewWorkflowRun) -> None:
    """A new run is committed: its first steps are looked for."""
    deps.steps_ready.set()
    metrics.RUNS_STARTED.labels(new.by.trigger).inc()


def _submission_of(new: NewWorkflowRun) -> Submission:
    """Its steps are asked on behalf of whoever the current call says."""
    call = current()
    principal = call.principal
    return Submission(
        kind=KIND,
        run_id=secrets.token_hex(8),
        owner=call.owner,
        idempotency_key=call.idempotency_key,
        definition=new.snapshot.model_dump(mode="json", exclude_defaults=True),
        options={
            "inputs": new.inputs,
            "from_payload": new.from_payload,
            "principal": None if principal is None else principal.model_dump(mode="json", exclude_defaults=True),
        },
        traceparent=inject({}).get("traceparent"),
    )
