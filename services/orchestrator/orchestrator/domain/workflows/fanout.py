"""`for_each`: the items of a list, each of them a part of the payload's step, and their responses as one."""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepFailed
from contracts.workflows import PayloadSnapshot, WorkflowSnapshot
from orchestrator.domain.actions.templates import text
from orchestrator.domain.machine import MOST_PARTS, Part
from orchestrator.domain.records import PartRecord
from orchestrator.domain.storable import mended
from orchestrator.domain.workflows.rendering import named_responses
from orchestrator.domain.workflows.responses import joined, kept

_MOST_OF_RUN = 10_000
KeptItem = dict[str, Any]
"""An item's text and output, as a run that repeats another takes them over."""


def items(value: Any) -> list[str]:
    """The items of a list, of a text that is a JSON array, or of any other text: its lines that are not empty.

    Raises `Refused(INVALID)` for more of them than are done, and for what is neither list nor text.
    """
    found = _listed(value)
    if found is None:
        raise Refused(RefusalCode.INVALID, f"for_each needs a list or a text, not {type(value).__name__}")
    if len(found) > MOST_PARTS:
        raise Refused(RefusalCode.INVALID, f"for_each was given {len(found)} items; {MOST_PARTS} are allowed")
    # JSON that a model has written may hold what no column can.
    return [mended(item) for item in found]


def check_room(so_far: int, more: int) -> None:
    """Raises `Refused(INVALID)` when the payloads of a run would have more items together than are done."""
    if so_far + more > _MOST_OF_RUN:
        message = f"The payloads of the run have {so_far + more} items together; {_MOST_OF_RUN} are allowed"
        raise Refused(RefusalCode.INVALID, message)


def parts(
    snapshot: WorkflowSnapshot, position: int, listed: Sequence[str], taken_over: Sequence[KeptItem]
) -> list[Part]:
    """A part for each item, those done that were taken over of the same item in the same place. Each is given what its
    prompt names, and no more: there are many of them."""
    payload, ancestors = snapshot.payloads[position], named_responses(snapshot, position)
    known = {(one["output"]["item"], one["text"]): one["output"] for one in taken_over}
    return [
        Part(
            name=f"{payload.step}[{number}]",
            config={"position": position, "payload_id": payload.payload_id, "item": number, "text": item},
            output=known.get((number, item)),
            ancestors=ancestors,
        )
        for number, item in enumerate(listed)
    ]


def kept_item(config: dict[str, Any], output: dict[str, Any]) -> KeptItem:
    """A part that has completed, for a run that repeats this one."""
    return {"text": config["text"], "output": kept(output)}


def join(position: int, payload: PayloadSnapshot, ended: Sequence[PartRecord]) -> dict[str, Any] | StepFailed:
    """The payload's response, or why it has none: an item has failed, and the list is not whole."""
    failed = [part for part in ended if part.error is not None]
    if not failed:
        return joined(position, payload, [part.output for part in ended if part.output is not None])
    first, error = failed[0], failed[0].error or {}
    of_all = f"{len(failed)} of {len(ended)} items failed"
    return StepFailed(
        code=error["code"],
        message=f"{of_all}; item {first.config['item']}: {error['message']}",
        metadata={**error["metadata"], "items": [part.config["item"] for part in failed]},
        retryable=False,
    )


def _listed(value: Any) -> list[str] | None:
    if isinstance(value, list):
        return [text(item) for item in value]
    if not isinstance(value, str):
        return None
    if value.lstrip().startswith("["):
        try:
            read = orjson.loads(value)
        except orjson.JSONDecodeError:
            read = None
        if isinstance(read, list):
            return [text(item) for item in read]
    return [line.strip() for line in value.splitlines() if line.strip()]
