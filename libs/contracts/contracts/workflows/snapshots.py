"""What a run pins of its workflow."""

from contracts.base import Message
from contracts.workflows.definitions import Inputs
from contracts.workflows.names import USUAL_ITEMS_AT_ONCE, ModelFormat
from contracts.workflows.payloads import Operator, WhenSkipped


class BlockSnapshot(Message):
    id: int
    version: int
    title: str
    content: str


class ConditionSnapshot(Message):
    """`Condition`, whose `position` is that of the payload whose response is asked about."""

    position: int
    operator: Operator
    value: str
    ignore_case: bool


class ForEachSnapshot(Message):
    """Where the list comes from: the response of the payload at `position`, or the run's input of that name."""

    position: int | None = None
    input: str | None = None


class PayloadSnapshot(Message):
    """A payload of a run, at its place in the order.

    `step` is its name, made unique where a workflow has it twice: what its response is called in prompts, too. `needs`
    are the positions of the payloads right before it. `model` is null for the first that the instance lists; `retries`
    and `timeout` (seconds) are null for what is usual.
    """

    payload_id: int
    version: int
    name: str
    step: str
    needs: list[int]
    blocks: list[BlockSnapshot]
    llm_port: int
    fallback_port: int | None = None
    model: str | None = None
    model_format: ModelFormat
    temperature: float
    response_length: int
    retries: int | None = None
    timeout: float | None = None
    condition: ConditionSnapshot | None = None
    for_each: ForEachSnapshot | None = None
    items_at_once: int = USUAL_ITEMS_AT_ONCE
    approval: bool = False
    when_skipped: WhenSkipped = "run"


class WorkflowSnapshot(Message):
    """All that a run of a workflow needs, which never changes again. `payloads` are in the workflow's order."""

    workflow_id: int
    version: int
    name: str
    inputs: Inputs = {}
    payloads: list[PayloadSnapshot]
