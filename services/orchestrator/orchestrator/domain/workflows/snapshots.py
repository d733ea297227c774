"""From definitions to what a run pins: references found, the order made a graph, and nothing left unknown.

A workflow is only ever kept when its snapshot can be made, so a run never starts with a reference to nothing.
"""

from collections.abc import Sequence

from contracts.base import RefusalCode, Refused
from contracts.workflows import (
    LONGEST_PROMPT,
    USUAL_ITEMS_AT_ONCE,
    ConditionSnapshot,
    ForEachSnapshot,
    PayloadRef,
    PayloadSnapshot,
    WorkflowSnapshot,
)
from orchestrator.domain.graph import Graph, graph
from orchestrator.domain.workflows.records import CurrentPayload, CurrentWorkflow

LONGEST_WORKFLOW = 2_000_000
"""Characters of all blocks of a workflow together, each as often as it is used."""


def snapshot(workflow: CurrentWorkflow) -> WorkflowSnapshot:
    """Raises `Refused(INVALID)` naming the payload that is to blame: for a reference to a payload that the workflow has
    not, or that need not have ended before, for payloads that wait for each other, and for texts that are too long."""
    check_length(workflow)
    payloads = workflow.payloads
    steps = _step_names(payloads)
    order = _graph(workflow, steps)
    return WorkflowSnapshot(
        workflow_id=workflow.workflow_id,
        version=workflow.version,
        name=workflow.name,
        inputs=workflow.inputs or {},
        payloads=[
            PayloadSnapshot(
                payload_id=payload.payload_id,
                version=payload.version,
                name=payload.name,
                step=steps[position],
                needs=list(order.needs[position]),
                blocks=payload.blocks,
                llm_port=payload.llm_port,
                fallback_port=payload.fallback_port,
                model=payload.model,
                model_format=payload.model_format,
                temperature=payload.temperature,
                response_length=payload.response_length,
                retries=payload.retries,
                timeout=payload.timeout,
                condition=_condition(workflow, order, position),
                for_each=_for_each(workflow, order, position),
                items_at_once=payload.items_at_once or USUAL_ITEMS_AT_ONCE,
                approval=bool(payload.approval),
                when_skipped=payload.when_skipped or ("skip" if payload.depends_on else "run"),
            )
            for position, payload in enumerate(payloads)
        ],
    )


def check_length(workflow: CurrentWorkflow) -> None:
    whole = 0
    for payload in workflow.payloads:
        length = prompt_length(payload)
        whole += length
        if length > LONGEST_PROMPT:
            raise too_long(f"payload {payload.name!r}", length, LONGEST_PROMPT)
    if whole > LONGEST_WORKFLOW:
        raise too_long(f"workflow {workflow.name!r}", whole, LONGEST_WORKFLOW)


def prompt_length(payload: CurrentPayload) -> int:
    return sum(len(block.content) for block in payload.blocks)


def too_long(what: str, length: int, allowed: int) -> Refused:
    return Refused(
        RefusalCode.INVALID, f"The blocks of the {what} have {length} characters together; {allowed} are allowed"
    )


def _step_names(payloads: Sequence[CurrentPayload]) -> list[str]:
    """The payloads' names, with a number where there is another of that name before."""
    names: dict[str, None] = {}
    for payload in payloads:
        name, count = payload.name, 1
        while name in names:
            count += 1
            name = f"{payload.name} ({count})"
        names[name] = None
    return list(names)


def _graph(workflow: CurrentWorkflow, steps: Sequence[str]) -> Graph:
    edges: list[tuple[str, str]] = []
    for position, payload in enumerate(workflow.payloads):
        if payload.depends_on is None:
            needs = [position - 1] if position else []
        else:
            needs = [_position(workflow, position, ref, "depends on") for ref in payload.depends_on]
        edges += [(steps[need], steps[position]) for need in needs]
    try:
        return graph(steps, edges)
    except Refused as refused:
        path = refused.metadata.get("cycle", ())
        message = f"Payloads of the workflow {workflow.name!r} wait for each other: {' → '.join(path)}"
        raise Refused(RefusalCode.INVALID, message, refused.metadata) from None


def _position(workflow: CurrentWorkflow, position: int, ref: PayloadRef, relation: str) -> int:
    """Where the payload is that the one at `position` refers to: the nearest before it, else the first after it."""
    payloads = workflow.payloads
    found = [
        place
        for place, payload in enumerate(payloads)
        if place != position and ref in ((payload.payload_id,) if isinstance(ref, int) else (payload.name,))
    ]
    if not found:
        name = payloads[position].name
        message = (
            f"The payload {name!r} {relation} {ref!r}, which is no other payload of the workflow {workflow.name!r}"
        )
        raise Refused(RefusalCode.INVALID, message)
    before = [place for place in found if place < position]
    return before[-1] if before else found[0]


def _ended_before(workflow: CurrentWorkflow, order: Graph, position: int, ref: PayloadRef, relation: str) -> int:
    found = _position(workflow, position, ref, relation)
    if found not in order.ancestors(position):
        name = workflow.payloads[position].name
        message = (
            f"The payload {name!r} {relation} {ref!r}, which need not have ended before it in the workflow"
            f" {workflow.name!r}: name it in depends_on"
        )
        raise Refused(RefusalCode.INVALID, message)
    return found


def _condition(workflow: CurrentWorkflow, order: Graph, position: int) -> ConditionSnapshot | None:
    condition = workflow.payloads[position].condition
    if condition is None:
        return None
    return ConditionSnapshot(
        position=_ended_before(workflow, order, position, condition.payload, "has a condition on"),
        operator=condition.operator,
        value=condition.value,
        ignore_case=condition.ignore_case,
    )


def _for_each(workflow: CurrentWorkflow, order: Graph, position: int) -> ForEachSnapshot | None:
    """A payload of that name stands over an input of the run."""
    ref = workflow.payloads[position].for_each
    if ref is None:
        return None
    named = any(payload.name == ref for payload in workflow.payloads)
    if isinstance(ref, str) and not named:
        return ForEachSnapshot(input=ref)
    return ForEachSnapshot(position=_ended_before(workflow, order, position, ref, "is done for each item of"))
