"""What an execution asks a model, and what becomes of its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.base import RefusalCode, Refused
from contracts.router import Chat, ChatMessage
from orchestrator.domain.actions.answers import Misshapen, shaped
from orchestrator.domain.actions.purposes import Form, example, form, schema
from orchestrator.domain.actions.records import ActionRecord
from orchestrator.domain.actions.templates import LONGEST, render, text, too_long
from orchestrator.domain.storable import mended, unstorable

ROUTE = "action"
"""The route that interactions of actions are recorded under."""
_MOST_BYTES = 2_000_000
"""Of input data, as JSON."""
_CUT_OFF = "it was cut off after {tokens} tokens, which is max_tokens of the action"


@dataclass(frozen=True)
class Assignment:
    """An action with the values it runs with. `form` is None where any text will do."""

    action: ActionRecord
    input_data: dict[str, Any]
    input_text: str
    form: Form | None

    def question(self) -> Chat:
        return self._chat([ChatMessage(role="user", content=self.input_text)])

    def question_again(self, answer: str, why: str) -> Chat:
        """The question with an answer that will not do, and the request to mend it."""
        return self._chat(
            [
                ChatMessage(role="user", content=self.input_text),
                ChatMessage(role="assistant", content=answer),
                ChatMessage(role="user", content=f"That will not do: {why}.\n\n{_instruction(self.form or {})}"),
            ]
        )

    def output(self, answer: str, *, cut_off: bool) -> dict[str, Any]:
        """The output of the run. Raises `Misshapen`."""
        if self.form is None:
            return {self.action.output_field: mended(answer)}
        try:
            found: dict[str, Any] = mended(shaped(answer, self.form))
        except Misshapen:
            if not cut_off:
                raise
            raise Misshapen(_CUT_OFF.format(tokens=self.action.max_tokens)) from None
        return found

    def _chat(self, messages: list[ChatMessage]) -> Chat:
        return Chat(
            model=self.action.model,
            messages=messages,
            temperature=self.action.temperature,
            max_tokens=self.action.max_tokens,
            response_format=None if self.form is None else _response_format(self.action, self.form),
            route=ROUTE,
        )


def assign(action: ActionRecord, input_data: Mapping[str, Any]) -> Assignment:
    """Raises `Refused`: CONFLICT for an action that is not active, INVALID with the variables that are missing."""
    if action.status != "active":
        raise Refused(RefusalCode.CONFLICT, f"The action is {action.status}", {"status": action.status})
    if errors := list(unstorable(dict(input_data), "input_data")):
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})
    if (size := len(orjson.dumps(input_data))) > _MOST_BYTES:
        error = {"field": "input_data", "message": f"has {size} bytes as JSON; {_MOST_BYTES} are allowed"}
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": [error]})
    content = _content(action, input_data)
    wanted = None if action.purpose is None else form(action.purpose, input_data)
    if wanted is not None:
        content = f"{content}\n\n{_instruction(wanted)}"
    return Assignment(action, dict(input_data), content, wanted)


def _content(action: ActionRecord, values: Mapping[str, Any]) -> str:
    content = render(action.content, values)
    if action.variables or action.input_field is None:
        return content
    # Document B's templates are often plain instructions, which its test puts the input behind.
    value = values.get(action.input_field)
    if value is None:
        error = {"field": f"input_data.{action.input_field}", "message": "field required"}
        raise Refused(RefusalCode.INVALID, f"Missing variables: {action.input_field}", {"errors": [error]})
    whole = f"{content}\n\n{text(value)}"
    if len(whole) > LONGEST:
        raise too_long(len(whole))
    return whole


def _instruction(wanted: Form) -> str:
    return f"Answer with one JSON object of this form, and nothing else:\n\n{orjson.dumps(example(wanted)).decode()}"


def _response_format(action: ActionRecord, wanted: Form) -> dict[str, Any]:
    name = str(action.purpose).replace("-", "_")
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema(wanted)}}
