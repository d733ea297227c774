"""Document C's forms: bare arrays, what is left out of an answer to a change, and words where others have fields."""

from collections.abc import Sequence
from typing import Literal

from pydantic import RootModel

from contracts.base import Message, Timestamp
from contracts.instances import (
    Instance,
    InstanceConfig,
    InstanceInfo,
    Instances,
    InstanceStatus,
    InstanceTest,
    ListedModel,
    ModelInfo,
)
from contracts.workflows import Block, Inputs, ModelFormat, Payload, PayloadOptions, Workflow


class Told(Message):
    message: str


# Blocks, payloads, workflows


class BlockArray(RootModel[list[Block]]):
    """All blocks, by id."""


class PayloadArray(RootModel[list[Payload]]):
    """All payloads, by id. Options that are not given are left out."""


class WorkflowArray(RootModel[list[Workflow]]):
    """All workflows, by id."""


class SavedPayload(PayloadOptions):
    """A payload without its blocks: the answer to who makes or changes one."""

    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    created_at: Timestamp
    updated_at: Timestamp


class SavedWorkflow(Message):
    """A workflow without its payloads: the answer to who makes or changes one."""

    id: int
    name: str
    inputs: Inputs | None = None
    created_at: Timestamp
    updated_at: Timestamp


def block_array(blocks: Sequence[Block]) -> BlockArray:
    return BlockArray(list(blocks))


def payload_array(payloads: Sequence[Payload]) -> PayloadArray:
    return PayloadArray(list(payloads))


def workflow_array(workflows: Sequence[Workflow]) -> WorkflowArray:
    return WorkflowArray(list(workflows))


def deleted_block(_: Block) -> Told:
    return Told(message="Block deleted successfully")


def saved_payload(payload: Payload) -> SavedPayload:
    return SavedPayload(**{name: getattr(payload, name) for name in SavedPayload.model_fields})


def deleted_payload(_: Payload) -> Told:
    return Told(message="Payload deleted successfully")


def saved_workflow(workflow: Workflow) -> SavedWorkflow:
    return SavedWorkflow(**{name: getattr(workflow, name) for name in SavedWorkflow.model_fields})


def deleted_workflow(_: Workflow) -> Told:
    return Told(message="Workflow deleted successfully")


# Instances, whose names document C writes in camel case


class InstanceView(Message):
    """`lastUsed` is null until it is."""

    port: int
    name: str
    status: InstanceStatus
    lastUsed: Timestamp | None  # noqa: N815 - document C's name
    config: InstanceConfig


class InstanceArray(RootModel[list[InstanceView]]):
    """All instances, by port."""


class Connected(Message):
    connected: Literal[True] = True
    modelInfo: ModelInfo | None  # noqa: N815 - document C's name
    timestamp: Timestamp


class NotConnected(Message):
    connected: Literal[False] = False
    modelInfo: None = None  # noqa: N815 - document C's name
    timestamp: Timestamp
    error: str


class ConnectivityView(RootModel[Connected | NotConnected]):
    """Whether an instance answers, and what it says of itself."""


class OpenAiDetails(Message):
    data: list[ListedModel]


class ApiDetails(Message):
    """What each API says; null where it does not answer."""

    kobold: ModelInfo | None
    openai: OpenAiDetails | None


class EndpointSummary(Message):
    version: str | None
    api_format: list[Literal["kobold", "openai"]]


class EndpointInfo(Message):
    info: EndpointSummary


class InstanceInfoView(Message):
    port: int
    timestamp: Timestamp
    connected: bool
    koboldApiAvailable: bool  # noqa: N815 - document C's name
    openAiApiAvailable: bool  # noqa: N815 - document C's name
    modelInfo: ModelInfo | None  # noqa: N815 - document C's name
    apiDetails: ApiDetails  # noqa: N815 - document C's name
    endpointInfo: EndpointInfo  # noqa: N815 - document C's name


def instance(found: Instance) -> InstanceView:
    return InstanceView(
        port=found.port, name=found.name, status=found.status, lastUsed=found.last_used, config=found.config
    )


def instance_array(found: Instances) -> InstanceArray:
    return InstanceArray([instance(one) for one in found.instances])


def deleted_instance(_: Instance) -> Told:
    return Told(message="LLM instance deleted successfully")


def connectivity(test: InstanceTest) -> ConnectivityView:
    if test.connected:
        return ConnectivityView(Connected(modelInfo=test.model_info, timestamp=test.timestamp))
    return ConnectivityView(NotConnected(timestamp=test.timestamp, error=test.error or "The instance does not answer"))


def instance_info(info: InstanceInfo) -> InstanceInfoView:
    formats: list[Literal["kobold", "openai"]] = []
    if info.kobold is not None:
        formats.append("kobold")
    if info.openai is not None:
        formats.append("openai")
    return InstanceInfoView(
        port=info.port,
        timestamp=info.timestamp,
        connected=info.connected,
        koboldApiAvailable=info.kobold is not None,
        openAiApiAvailable=info.openai is not None,
        modelInfo=info.model_info,
        apiDetails=ApiDetails(
            kobold=info.kobold, openai=None if info.openai is None else OpenAiDetails(data=info.openai)
        ),
        endpointInfo=EndpointInfo(
            info=EndpointSummary(
                version=None if info.model_info is None else info.model_info.version, api_format=formats
            )
        ),
    )
