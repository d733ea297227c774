"""Workflows: payloads that run one after another, or as their `depends_on` says; and one as a JSON file."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Message, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id, PromptName
from contracts.workflows.names import (
    CHANGED,
    CREATED,
    DELETED,
    MOST_BLOCKS,
    MOST_PAYLOADS,
    UNKNOWN,
    Change,
    Content,
    FolderPath,
    InputName,
    ModelFormat,
    NumberedVersion,
    Port,
    Tags,
    Title,
    Version,
)
from contracts.workflows.payloads import Blocks, PayloadOptions, ResponseLength, Temperature

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


LIST_WORKFLOWS = Rpc("orchestrator.v1.workflows.list", ListWorkflows, WorkflowPage)
CREATE_WORKFLOW = Rpc("orchestrator.v1.workflows.create", CreateWorkflow, Workflow, refusals=CREATED)
GET_WORKFLOW = Rpc("orchestrator.v1.workflows.get", GetWorkflow, Workflow, refusals=UNKNOWN)
UPDATE_WORKFLOW = Rpc("orchestrator.v1.workflows.update", UpdateWorkflow, Workflow, refusals=CHANGED)
DELETE_WORKFLOW = Rpc("orchestrator.v1.workflows.delete", GetWorkflow, Workflow, refusals=UNKNOWN)
LIST_WORKFLOW_VERSIONS = Rpc(
    "orchestrator.v1.workflows.versions", ListWorkflowVersions, WorkflowVersionPage, refusals=UNKNOWN
)
RESTORE_WORKFLOW = Rpc("orchestrator.v1.workflows.restore", RestoreWorkflow, Workflow, refusals=CHANGED)
EXPORT_WORKFLOW = Rpc("orchestrator.v1.workflows.export", GetWorkflow, WorkflowDocument, refusals=DELETED)
IMPORT_WORKFLOW = Rpc("orchestrator.v1.workflows.import", WorkflowDocument, Workflow, refusals=CREATED)
