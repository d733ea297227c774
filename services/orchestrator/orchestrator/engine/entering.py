"""How a run of a workflow is asked for: by its caller over the bus, or in the name of a schedule's owner."""

import secrets

from common.context import current
from common.tracing import inject
from orchestrator.domain.records import Submission
from orchestrator.domain.workflows.runs import KIND, NewWorkflowRun


def submission_of(new: NewWorkflowRun) -> Submission:
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
            "principal": None if principal is None else principal.model_dump(mode="json", exclude_defaults=True),
        },
        traceparent=inject({}).get("traceparent"),
    )
