"""A workflow as one JSON file: written with all that it needs, read where none of its ids mean anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contracts.workflows import (
    Block,
    ExportedBlock,
    ExportedPayload,
    PayloadOptions,
    PayloadRef,
    WorkflowDocument,
)
from orchestrator.domain.workflows.records import CurrentWorkflow, PayloadSettings, payload_settings
from orchestrator.domain.workflows.refusals import twice, unknown


def document(workflow: CurrentWorkflow, blocks: Sequence[Block]) -> WorkflowDocument:
    """`blocks` are all that its payloads use."""
    payloads = {
        payload.payload_id: ExportedPayload(
            id=payload.payload_id,
            name=payload.name,
            temperature=payload.temperature,
            response_length=payload.response_length,
            llm_port=payload.llm_port,
            model_format=payload.model_format,
            blocks=[block.id for block in payload.blocks],
            **{name: getattr(payload, name) for name in PayloadOptions.model_fields},
        )
        for payload in workflow.payloads
    }
    return WorkflowDocument(
        name=workflow.name,
        inputs=workflow.inputs,
        workflow=[payload.payload_id for payload in workflow.payloads],
        payloads=list(payloads.values()),
        blocks=[
            ExportedBlock(
                id=block.id,
                title=block.title,
                content=block.content,
                tags=block.tags,
                folder_path=block.folder_path,
            )
            for block in blocks
        ],
    )


def check(read: WorkflowDocument) -> None:
    """Raises `Refused(INVALID)` for ids that the document has twice, or refers to and has not."""
    blocks = _ids("blocks", [block.id for block in read.blocks])
    payloads = _ids("payloads", [payload.id for payload in read.payloads])
    if missing := [number for payload in read.payloads for number in payload.blocks if number not in blocks]:
        raise unknown("blocks", missing)
    referred = [number for payload in read.payloads for number in _refs(payload) if isinstance(number, int)]
    if missing := [number for number in (*read.workflow, *referred) if number not in payloads]:
        raise unknown("payloads", missing)


def translated(payload: ExportedPayload, blocks: Mapping[int, int], payloads: Mapping[int, int]) -> PayloadSettings:
    """The payload with the new ids of what it refers to."""
    settings = payload_settings(payload)
    options, condition = settings.options, settings.options.condition
    changes = {
        "depends_on": None if options.depends_on is None else [_new(ref, payloads) for ref in options.depends_on],
        "condition": condition
        if condition is None
        else condition.model_copy(update={"payload": _new(condition.payload, payloads)}),
        "for_each": None if options.for_each is None else _new(options.for_each, payloads),
    }
    return replace(
        settings, options=options.model_copy(update=changes), blocks=[blocks[number] for number in settings.blocks]
    )


def _new(ref: PayloadRef, ids: Mapping[int, int]) -> PayloadRef:
    return ids.get(ref, ref) if isinstance(ref, int) else ref


def _refs(payload: ExportedPayload) -> list[PayloadRef]:
    condition = [] if payload.condition is None else [payload.condition.payload]
    return [*(payload.depends_on or ()), *condition, *([] if payload.for_each is None else [payload.for_each])]


def _ids(noun: str, ids: Sequence[int]) -> set[int]:
    known = set(ids)
    if len(known) < len(ids):
        raise twice(noun, [number for number in known if ids.count(number) > 1])
    return known
