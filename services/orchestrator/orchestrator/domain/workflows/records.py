"""Definitions as they are now, with the versions that a run would pin."""

from contracts.base import Message
from contracts.workflows import BlockSnapshot, Inputs, ModelFormat, PayloadOptions


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
