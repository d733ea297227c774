"""Starts workflows over the bus, and looks at their runs."""

from typing import Any

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from contracts.base import RefusalCode, Refused
from contracts.gateway import Role
from contracts.workflow_runs import (
    EXECUTE_WORKFLOW,
    GET_WORKFLOW_RUN,
    LIST_RUN_ITEMS,
    LIST_RUN_RESPONSES,
    ExecuteWorkflow,
    GetWorkflowRun,
    ListRunItems,
    ListRunResponses,
    RunItem,
    RunResponse,
    WorkflowRunWithInputs,
)
from contracts.workflows import (
    CREATE_BLOCK,
    CREATE_PAYLOAD,
    CREATE_WORKFLOW,
    CreateBlock,
    CreatePayload,
    CreateWorkflow,
)

from .conftest import eventually


async def workflow(bus: Bus, *payloads: dict[str, Any], inputs: dict[str, str | None] | None = None) -> int:
    """A workflow of payloads of one block each, whose text is their `says`."""
    ids = []
    for given in payloads:
        options = dict(given)
        block = await bus.ask(CREATE_BLOCK, CreateBlock(title="t", content=options.pop("says")))
        fields = {"llm_port": 5001, **options, "blocks": [block.id]}
        ids.append((await bus.ask(CREATE_PAYLOAD, CreatePayload.model_validate(fields))).id)
    return (await bus.ask(CREATE_WORKFLOW, CreateWorkflow(name="w", payloads=ids, inputs=inputs))).id


async def start(bus: Bus, workflow_id: int, **inputs: Any) -> int:
    return (await bus.ask(EXECUTE_WORKFLOW, ExecuteWorkflow(workflow_id=workflow_id, inputs=inputs))).runId


async def get(bus: Bus, run_id: int) -> WorkflowRunWithInputs:
    with calling(ADMIN):
        return await bus.ask(GET_WORKFLOW_RUN, GetWorkflowRun(run_id=run_id))


async def ended(bus: Bus, run_id: int) -> WorkflowRunWithInputs:
    async def look() -> WorkflowRunWithInputs | None:
        run = await get(bus, run_id)
        return run if run.status not in ("running", "paused") else None

    return await eventually(look)


async def responses(bus: Bus, run_id: int) -> list[RunResponse]:
    with calling(ADMIN):
        return (await bus.ask(LIST_RUN_RESPONSES, ListRunResponses(run_id=run_id))).responses


async def contents(bus: Bus, run_id: int) -> dict[str, str]:
    return {response.payload_name: response.content for response in await responses(bus, run_id)}


async def items_of(bus: Bus, run_id: int, **asked: Any) -> list[RunItem]:
    return (await bus.ask(LIST_RUN_ITEMS, ListRunItems(run_id=run_id, **asked))).items


def as_(name: str, role: Role = "member") -> Call:
    return Call(principal=Principal(id=name, name=name, role=role))


ADMIN = as_("root", "admin")


async def refusal(asking: Any) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        await asking
    return refused.value.code
