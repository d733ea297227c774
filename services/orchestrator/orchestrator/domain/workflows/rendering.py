"""A payload's prompt: its blocks in order, with earlier responses and the run's inputs in their places.

Document C's blocks are plain texts, in which braces may mean anything: code, JSON, LaTeX. So braces around a name that
is known are a variable, and all others stay as they are; actions, whose prompts are templates alone, refuse them
instead. A value is put in its place once and never read again: nothing that a model writes is looked up or evaluated.
"""

import re
from collections.abc import Mapping
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.workflows import (
    LONGEST_PROMPT,
    VARIABLE_NAME,
    Payload,
    PayloadPreview,
    PayloadSnapshot,
    WorkflowSnapshot,
)
from orchestrator.domain.actions.templates import text
from orchestrator.domain.graph import Graph
from orchestrator.domain.workflows.formats import formatted

ITEM = "item"
"""What an item of `for_each` is called in prompts."""
BETWEEN_BLOCKS = "\n\n"
_NAME = re.compile(VARIABLE_NAME)
_IN_BRACES = re.compile(r"\{\{([^{}\n]{1,200})\}\}|\{([^{}\n]{1,200})\}")


def graph_of(snapshot: WorkflowSnapshot) -> Graph:
    """The run's graph, one step for each payload."""
    names = tuple(payload.step for payload in snapshot.payloads)
    return Graph(names, tuple(tuple(payload.needs) for payload in snapshot.payloads))


def variables(
    snapshot: WorkflowSnapshot,
    position: int,
    *,
    responses: Mapping[int, str],
    inputs: Mapping[str, Any],
    item: str | None = None,
) -> dict[str, str]:
    """What the prompt of the payload at `position` may name.

    `responses` are by position; those of payloads that need not have ended before are not seen. An item stands over a
    response of that name, and a response over an input.
    """
    named = {name: text(value) for name, value in with_defaults(snapshot, inputs).items()}
    for earlier in graph_of(snapshot).ancestors(position):
        if (response := responses.get(earlier)) is not None:
            named[snapshot.payloads[earlier].step] = response
    if item is not None:
        named[ITEM] = item
    return named


def named_responses(snapshot: WorkflowSnapshot, position: int) -> tuple[int, ...]:
    """The payloads, nearest first, whose responses the prompt of the one at `position` names."""
    named = set(_names(_content(snapshot.payloads[position])))
    return tuple(one for one in graph_of(snapshot).ancestors(position) if snapshot.payloads[one].step in named)


def render(payload: PayloadSnapshot, values: Mapping[str, str]) -> str:
    """The prompt of the payload. Raises `Refused(INVALID)` when the whole is too long."""
    return fill(_content(payload), values)


def preview(payload: Payload, given: Mapping[str, Any]) -> PayloadPreview:
    """The prompt as it would be with what is given. Raises `Refused(INVALID)` when the whole is too long."""
    content = _content(payload)
    values = {name: text(value) for name, value in given.items() if value is not None}
    named = _names(content)
    prompt = fill(content, values)
    return PayloadPreview(
        payload_id=payload.id,
        prompt=prompt,
        text=formatted(prompt, payload.model_format),
        used=[name for name in named if name in values],
        missing=[name for name in named if name not in values and _NAME.fullmatch(name)],
        characters=len(prompt),
    )


def fill(content: str, values: Mapping[str, str]) -> str:
    """The text with the values of names in braces, where `{{name}}` is the text `{name}`.

    Raises `Refused(INVALID)` when the whole is too long.
    """
    # Counted before it is made: a text can repeat a long value any number of times.
    length = len(content) + sum(
        len(values[token[2]]) for token in _IN_BRACES.finditer(content) if token[2] is not None and token[2] in values
    )
    if length > LONGEST_PROMPT:
        message = (
            f"With these responses and inputs the prompt has some {length} characters; {LONGEST_PROMPT} are allowed"
        )
        raise Refused(RefusalCode.INVALID, message)

    def replaced(token: re.Match[str]) -> str:
        name = token[1] if token[1] is not None else token[2]
        if name not in values:
            return token[0]
        return values[name] if token[1] is None else f"{{{name}}}"

    return _IN_BRACES.sub(replaced, content)


def _content(payload: Payload | PayloadSnapshot) -> str:
    return BETWEEN_BLOCKS.join(block.content for block in payload.blocks)


def _names(content: str) -> dict[str, None]:
    """What stands in single braces, each once, in order."""
    return dict.fromkeys(token[2] for token in _IN_BRACES.finditer(content) if token[2] is not None)


def with_defaults(snapshot: WorkflowSnapshot, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run, with what the workflow declares for those that it was not given."""
    named = {name: default for name, default in snapshot.inputs.items() if default is not None}
    return named | {name: value for name, value in given.items() if value is not None}


def check_inputs(snapshot: WorkflowSnapshot, given: Mapping[str, Any]) -> None:
    """Raises `Refused(INVALID)` naming the inputs that a run must be given and is not: those that are declared without
    a default, and the lists that payloads are done for."""
    lists = [part.for_each.input for part in snapshot.payloads if part.for_each is not None and part.for_each.input]
    known = with_defaults(snapshot, given)
    if missing := [name for name in dict.fromkeys((*snapshot.inputs, *lists)) if name not in known]:
        errors = [{"field": f"inputs.{name}", "message": "field required"} for name in missing]
        raise Refused(RefusalCode.INVALID, "The workflow needs more inputs", {"errors": errors})
