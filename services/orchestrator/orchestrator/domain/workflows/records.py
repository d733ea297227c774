"""Definitions: what their callers say of them, and what they are now, with the versions that a run would pin."""

from dataclasses import dataclass, replace
from typing import Any

from contracts.base import Message
from contracts.workflows import (
    Block,
    BlockSnapshot,
    BlockVersion,
    CreateBlock,
    CreatePayload,
    CreateWorkflow,
    ExportedBlock,
    ExportedPayload,
    Inputs,
    ModelFormat,
    Payload,
    PayloadOptions,
    PayloadVersion,
    UpdateBlock,
    UpdatePayload,
    UpdateWorkflow,
    Workflow,
    WorkflowVersion,
)


@dataclass(frozen=True)
class BlockSettings:
    title: str
    content: str
    tags: str
    folder_path: str


@dataclass(frozen=True)
class PayloadSettings:
    """`blocks` are ids, in order."""

    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    options: PayloadOptions
    blocks: list[int]


@dataclass(frozen=True)
class WorkflowSettings:
    """`payloads` are ids, in order."""

    name: str
    inputs: Inputs | None
    payloads: list[int]


class CurrentPayload(PayloadOptions):
    """A payload in its newest version, with its blocks in theirs."""

    payload_id: int
    version: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    blocks: list[BlockSnapshot]


class CurrentWorkflow(Message):
    """A workflow in its newest version, with its payloads in theirs."""

    workflow_id: int
    version: int
    name: str
    inputs: Inputs | None
    payloads: list[CurrentPayload]

    @property
    def settings(self) -> WorkflowSettings:
        return WorkflowSettings(self.name, self.inputs, [payload.payload_id for payload in self.payloads])


def block_settings(said: Block | BlockVersion | CreateBlock | ExportedBlock) -> BlockSettings:
    return BlockSettings(said.title, said.content, said.tags, said.folder_path)


def changed_block(known: Block, request: UpdateBlock) -> BlockSettings:
    given = {name: value for name in _BLOCK_FIELDS if (value := getattr(request, name)) is not None}
    return replace(block_settings(known), **given)


def payload_settings(said: Payload | PayloadVersion | CreatePayload | ExportedPayload) -> PayloadSettings:
    return PayloadSettings(
        name=said.name,
        temperature=said.temperature,
        response_length=said.response_length,
        llm_port=said.llm_port,
        model_format=said.model_format,
        options=_options(said, {}),
        blocks=[block if isinstance(block, int) else block.id for block in said.blocks],
    )


def changed_payload(known: Payload, request: UpdatePayload) -> PayloadSettings:
    """An option that was given as null is taken away."""
    given = {name: value for name in _PAYLOAD_FIELDS if (value := getattr(request, name)) is not None}
    options = {name: getattr(request, name) for name in PayloadOptions.model_fields if name in request.model_fields_set}
    return replace(payload_settings(known), **given, options=_options(known, options))


def workflow_settings(said: Workflow | WorkflowVersion | CreateWorkflow) -> WorkflowSettings:
    payloads = [payload if isinstance(payload, int) else payload.id for payload in said.payloads]
    return WorkflowSettings(said.name, said.inputs, payloads)


def changed_workflow(known: Workflow, request: UpdateWorkflow) -> WorkflowSettings:
    """Inputs that were given as null are taken away."""
    settings = workflow_settings(known)
    given = {name: value for name in ("name", "payloads") if (value := getattr(request, name)) is not None}
    inputs = request.inputs if "inputs" in request.model_fields_set else settings.inputs
    return replace(settings, **given, inputs=inputs)


def options_as_json(options: PayloadOptions) -> dict[str, Any]:
    """Those that are given."""
    return options.model_dump(mode="json", exclude_none=True)


def _options(said: PayloadOptions, changes: dict[str, Any]) -> PayloadOptions:
    return PayloadOptions(**{name: getattr(said, name) for name in PayloadOptions.model_fields} | changes)


_BLOCK_FIELDS = ("title", "content", "tags", "folder_path")
_PAYLOAD_FIELDS = ("name", "temperature", "response_length", "llm_port", "model_format", "blocks")
