"""Blocks, payloads and workflows (document C), and the snapshot of them that a run pins.

A payload's prompt is its blocks in order. Payloads of a workflow run one after another, unless their `depends_on` says
otherwise. The orchestrator answers all of it; what happens when a workflow is executed is in `contracts.workflow_runs`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id, PromptName

Title = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"\S")]
Content = Annotated[
    str,
    StringConstraints(max_length=200_000),
    Field(
        description=(
            "Text. `{name}` is replaced by the response of the earlier payload, or the run's input, of that name, and"
            " stays as it is where there is none; `{{name}}` is the text `{name}`. Nothing is evaluated."
        )
    ),
]
Tags = Annotated[str, StringConstraints(max_length=2000), Field(description="With commas between them")]
FolderPath = Annotated[str, StringConstraints(max_length=1000), Field(description="With slashes between folders")]
Port = Annotated[int, Field(ge=1, le=65535)]
"""Names a registered LLM instance."""

VARIABLE_NAME = r"[^\W\d][\w .'-]{0,199}"
"""What may stand in braces: a letter or an underscore first. Payloads with other names are asked for by number."""
InputName = Annotated[str, StringConstraints(pattern=rf"^{VARIABLE_NAME}$")]

ModelFormat = Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"]
"""How a prompt is written for its model: `chat` leaves it to the engine's own template, `raw` sends the text alone."""

MOST_BLOCKS = 100
MOST_PAYLOADS = 200
LONGEST_PROMPT = 1_000_000
"""Characters of all blocks of a payload together."""
USUAL_ITEMS_AT_ONCE = 8


class Change(Message):
    """Changes the given fields. Only those travel, so that null, which takes an option away, can be told from them."""

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class NumberedVersion(Message):
    """When a definition became what it is now, or was then."""

    version: int
    created_at: Timestamp


# Blocks


class Block(Message):
    """A piece of text in its newest version."""

    id: int
    title: str
    content: str
    tags: str
    folder_path: str
    created_at: Timestamp
    updated_at: Timestamp


class BlockVersion(NumberedVersion):
    """A version, which never changes."""

    title: str
    content: str
    tags: str
    folder_path: str


class BlockFilter(Message):
    """`folder` also finds what is in its folders; `tag` is one of the tags; `search` is a part of title or content."""

    folder: str | None = Field(default=None, max_length=1000)
    tag: str | None = Field(default=None, max_length=2000)
    search: str | None = Field(default=None, max_length=300)


class ListBlocks(BlockFilter):
    """The first blocks by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class BlockPage(Message):
    """As many as fit; `more` says that there are others."""

    blocks: list[Block]
    more: bool


class CreateBlock(Message):
    title: Title
    content: Content
    tags: Tags = ""
    folder_path: FolderPath = ""


class GetBlock(Message):
    block_id: Id


class UpdateBlock(Message):
    """Changes the given fields; what is another than before becomes the next version."""

    block_id: Id
    title: Title | None = None
    content: Content | None = None
    tags: Tags | None = None
    folder_path: FolderPath | None = None


class DeleteBlock(GetBlock):
    """One that payloads use is refused, unless `force` takes it out of them."""

    force: bool = False


class ListBlockVersions(PageRequest):
    block_id: Id


class BlockVersionPage(Page[BlockVersion]):
    """Versions, newest first."""


Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class RestoreBlock(GetBlock):
    """Makes what it was in `version` its next version."""

    version: Version


# Payloads

PayloadRef = Id | Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A payload of the same workflow, by id or by name."""

Operator = Literal[
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "is_empty",
    "is_not_empty",
    "above",
    "below",
]


class Condition(Message):
    """What an earlier response has to be like, without the space around it. `above` and `below` compare numbers."""

    payload: PayloadRef
    operator: Operator
    value: str = Field(default="", max_length=10_000)
    ignore_case: bool = True


WhenSkipped = Literal["run", "skip"]


class PayloadOptions(Message):
    """What document C leaves open of a payload.

    Without `depends_on` it starts when the payload before it has ended, with an empty one at once. `retries` are
    attempts after the first; `timeout` in seconds bounds one attempt. When the instance cannot answer,
    `fallback_port` is asked. With a `condition` that does not hold it is skipped, and its response is empty.
    `for_each` names a payload or an input of the run: it is done once for each item of that list, as `{item}`, for
    `items_at_once` of them side by side (8 where nothing is said). An item is tried, given up and kept by itself.
    With `approval` it waits for a person before it starts.
    When all payloads that come right before it were skipped, it is skipped as well, or runs with their empty
    responses, as `when_skipped` says: `skip` where `depends_on` names them and nothing is said, `run` in plain order.
    """

    model: str | None = Field(default=None, min_length=1, max_length=300)
    """Which model of the instance; without it, the first that it lists."""
    depends_on: list[PayloadRef] | None = Field(default=None, max_length=MOST_PAYLOADS)
    retries: int | None = Field(default=None, ge=0, le=20)
    timeout: float | None = Field(default=None, gt=0, le=86_400)
    fallback_port: Port | None = None
    condition: Condition | None = None
    for_each: PayloadRef | None = None
    items_at_once: int | None = Field(default=None, ge=1, le=100)
    approval: bool | None = None
    when_skipped: WhenSkipped | None = None


class OrderedBlock(Message):
    """A block in its place."""

    id: int
    title: str
    content: str
    order_index: int


class Payload(PayloadOptions):
    """A prompt of `blocks` in order, and the instance that answers it, in its newest version."""

    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    created_at: Timestamp
    updated_at: Timestamp
    blocks: list[OrderedBlock]


class PayloadVersion(PayloadOptions, NumberedVersion):
    """A version, which never changes. `blocks` are ids."""

    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    blocks: list[int]


class PayloadFilter(Message):
    """`search` is a part of the name, `block_id` a block that it uses."""

    search: str | None = Field(default=None, max_length=300)
    block_id: Id | None = None


class ListPayloads(PayloadFilter):
    """The first payloads by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class PayloadPage(Message):
    """As many as fit; `more` says that there are others."""

    payloads: list[Payload]
    more: bool


Blocks = Annotated[list[Id], Field(max_length=MOST_BLOCKS)]
"""Ids of blocks, in order."""
ResponseLength = Annotated[int, Field(ge=1, le=10_000_000)]
"""Tokens."""
Temperature = Annotated[float, Field(ge=0, le=2)]


class CreatePayload(PayloadOptions):
    name: PromptName
    temperature: Temperature = 0.7
    response_length: ResponseLength = 1000
    llm_port: Port
    model_format: ModelFormat = "chat"
    blocks: Blocks = []


class GetPayload(Message):
    payload_id: Id


class UpdatePayload(Change, PayloadOptions):
    """Changes the given fields; null takes an option away. What is another than before becomes the next version."""

    payload_id: Id
    name: PromptName | None = None
    temperature: Temperature | None = None
    response_length: ResponseLength | None = None
    llm_port: Port | None = None
    model_format: ModelFormat | None = None
    blocks: Blocks | None = None


class DeletePayload(GetPayload):
    """One that workflows use is refused, unless `force` takes it out of them."""

    force: bool = False


class ListPayloadVersions(PageRequest):
    payload_id: Id


class PayloadVersionPage(Page[PayloadVersion]):
    """Versions, newest first."""


class RestorePayload(GetPayload):
    """Makes what it was in `version` its next version."""

    version: Version


class PreviewPayload(GetPayload):
    """`inputs` are what its prompt may name: inputs of a run, responses of earlier payloads, `item`."""

    inputs: dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Any] = Field(
        default={}, max_length=400
    )


class PayloadPreview(Message):
    """`prompt` is the blocks with the inputs in their places; `text` is that as its instance would be asked with it.

    `used` names the inputs that stand in it, `missing` the names in braces that stand for nothing and stay as they are.
    """

    payload_id: int
    prompt: str
    text: str
    used: list[str]
    missing: list[str]
    characters: int


# Workflows

Inputs = Annotated[dict[InputName, str | None], Field(max_length=200)]
"""The inputs that a run must or may be given: by name, with what stands for one that is not, null where it must be."""


class OrderedPayload(Message):
    """A payload in its place."""

    id: int
    name: str
    order_index: int


class Workflow(Message):
    """Payloads in order, in its newest version. `inputs` is null where it declares none."""

    id: int
    name: str
    inputs: Inputs | None = None
    created_at: Timestamp
    updated_at: Timestamp
    payloads: list[OrderedPayload]


class WorkflowVersion(NumberedVersion):
    """A version, which never changes. `payloads` are ids."""

    name: str
    inputs: Inputs | None = None
    payloads: list[int]


class WorkflowFilter(Message):
    """`search` is a part of the name, `payload_id` a payload that it uses."""

    search: str | None = Field(default=None, max_length=300)
    payload_id: Id | None = None


class ListWorkflows(WorkflowFilter):
    """The first workflows by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class WorkflowPage(Message):
    """As many as fit; `more` says that there are others."""

    workflows: list[Workflow]
    more: bool


Payloads = Annotated[list[Id], Field(max_length=MOST_PAYLOADS)]
"""Ids of payloads, in order. One may come more than once."""


class CreateWorkflow(Message):
    name: PromptName
    payloads: Payloads = []
    inputs: Inputs | None = None


class GetWorkflow(Message):
    workflow_id: Id


class UpdateWorkflow(Change):
    """Changes the given fields; what is another than before becomes the next version."""

    workflow_id: Id
    name: PromptName | None = None
    payloads: Payloads | None = None
    inputs: Inputs | None = None


class ListWorkflowVersions(PageRequest):
    workflow_id: Id


class WorkflowVersionPage(Page[WorkflowVersion]):
    """Versions, newest first."""


class RestoreWorkflow(GetWorkflow):
    """Makes what it was in `version` its next version."""

    version: Version


# Export and import: one JSON file, whose ids mean something within it alone

EXPORT_FORMAT: Literal["llm-platform/workflow"] = "llm-platform/workflow"


class ExportedBlock(Message):
    id: Id
    title: Title
    content: Content
    tags: Tags = ""
    folder_path: FolderPath = ""


class ExportedPayload(PayloadOptions):
    id: Id
    name: PromptName
    temperature: Temperature
    response_length: ResponseLength
    llm_port: Port
    model_format: ModelFormat
    blocks: Blocks


class WorkflowDocument(Message):
    """A workflow with all that it needs, to be kept in a file and imported elsewhere."""

    format: Literal["llm-platform/workflow"] = EXPORT_FORMAT
    version: Literal[1] = 1
    name: PromptName
    inputs: Inputs | None = None
    workflow: Payloads
    """The ids of its payloads, in order."""
    payloads: list[ExportedPayload] = Field(max_length=MOST_PAYLOADS)
    blocks: list[ExportedBlock] = Field(max_length=MOST_PAYLOADS * MOST_BLOCKS)


# What a run pins


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


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_CREATED = (RefusalCode.INVALID,)
_CHANGED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)
_DELETED = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)

LIST_BLOCKS = Rpc("orchestrator.v1.blocks.list", ListBlocks, BlockPage)
CREATE_BLOCK = Rpc("orchestrator.v1.blocks.create", CreateBlock, Block, refusals=_CREATED)
GET_BLOCK = Rpc("orchestrator.v1.blocks.get", GetBlock, Block, refusals=_UNKNOWN)
UPDATE_BLOCK = Rpc("orchestrator.v1.blocks.update", UpdateBlock, Block, refusals=_CHANGED)
DELETE_BLOCK = Rpc("orchestrator.v1.blocks.delete", DeleteBlock, Block, refusals=_DELETED)
LIST_BLOCK_VERSIONS = Rpc("orchestrator.v1.blocks.versions", ListBlockVersions, BlockVersionPage, refusals=_UNKNOWN)
RESTORE_BLOCK = Rpc("orchestrator.v1.blocks.restore", RestoreBlock, Block, refusals=_CHANGED)

LIST_PAYLOADS = Rpc("orchestrator.v1.payloads.list", ListPayloads, PayloadPage)
CREATE_PAYLOAD = Rpc("orchestrator.v1.payloads.create", CreatePayload, Payload, refusals=_CREATED)
GET_PAYLOAD = Rpc("orchestrator.v1.payloads.get", GetPayload, Payload, refusals=_UNKNOWN)
UPDATE_PAYLOAD = Rpc("orchestrator.v1.payloads.update", UpdatePayload, Payload, refusals=_CHANGED)
DELETE_PAYLOAD = Rpc("orchestrator.v1.payloads.delete", DeletePayload, Payload, refusals=_DELETED)
LIST_PAYLOAD_VERSIONS = Rpc(
    "orchestrator.v1.payloads.versions", ListPayloadVersions, PayloadVersionPage, refusals=_UNKNOWN
)
RESTORE_PAYLOAD = Rpc("orchestrator.v1.payloads.restore", RestorePayload, Payload, refusals=_CHANGED)
PREVIEW_PAYLOAD = Rpc(
    "orchestrator.v1.payloads.preview", PreviewPayload, PayloadPreview, refusals=(*_UNKNOWN, RefusalCode.INVALID)
)

LIST_WORKFLOWS = Rpc("orchestrator.v1.workflows.list", ListWorkflows, WorkflowPage)
CREATE_WORKFLOW = Rpc("orchestrator.v1.workflows.create", CreateWorkflow, Workflow, refusals=_CREATED)
GET_WORKFLOW = Rpc("orchestrator.v1.workflows.get", GetWorkflow, Workflow, refusals=_UNKNOWN)
UPDATE_WORKFLOW = Rpc("orchestrator.v1.workflows.update", UpdateWorkflow, Workflow, refusals=_CHANGED)
DELETE_WORKFLOW = Rpc("orchestrator.v1.workflows.delete", GetWorkflow, Workflow, refusals=_UNKNOWN)
LIST_WORKFLOW_VERSIONS = Rpc(
    "orchestrator.v1.workflows.versions", ListWorkflowVersions, WorkflowVersionPage, refusals=_UNKNOWN
)
RESTORE_WORKFLOW = Rpc("orchestrator.v1.workflows.restore", RestoreWorkflow, Workflow, refusals=_CHANGED)
EXPORT_WORKFLOW = Rpc("orchestrator.v1.workflows.export", GetWorkflow, WorkflowDocument, refusals=_DELETED)
IMPORT_WORKFLOW = Rpc("orchestrator.v1.workflows.import", WorkflowDocument, Workflow, refusals=_CREATED)
