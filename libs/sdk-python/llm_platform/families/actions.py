"""Actions: a prompt with a model and its settings, which is executed, and whose runs are kept (documents A and B)."""

from collections.abc import Mapping
from typing import Any, Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/llm/actions"
_ENVELOPE = {"X-Response-Style": "envelope"}


class Actions(Family[R]):
    """`client.actions`"""

    @operation
    def list(self) -> Steps[list[answers.Action]]:
        """All actions."""
        return (yield from self._ask("GET", _BASE, answers.ActionsEnvelope, headers=_ENVELOPE)).data.actions

    @operation
    def create(self, **fields: Unpack[requests.CreateAction]) -> Steps[answers.Action]:
        """Makes an action. Without `prompt_version` it follows its prompt."""
        return (yield from self._post(_BASE, answers.SavedAction, fields)).action

    @operation
    def get(self, action_id: int) -> Steps[answers.Action]:
        """One action."""
        return self._get(at(_BASE, action_id), answers.Action)

    @operation
    def update(self, action_id: int, **fields: Unpack[requests.UpdateAction]) -> Steps[answers.Action]:
        """Changes the given fields. `prompt_version=0` follows the prompt again."""
        return (yield from self._put(at(_BASE, action_id), answers.SavedAction, fields)).action

    @operation
    def delete(self, action_id: int) -> Steps[answers.Succeeded]:
        """Deletes an action."""
        return self._delete(at(_BASE, action_id), answers.Succeeded)

    @operation
    def execute(
        self, action_id: int, input_data: Mapping[str, Any], *, post_id: int | None = None
    ) -> Steps[answers.ActionRun]:
        """Executes an action with its prompt's variables, and waits for its end. Raises `ApiError` if it fails."""
        body = {"input_data": input_data, **({} if post_id is None else {"post_id": post_id})}
        path = at(_BASE, action_id, "execute")
        return (yield from self._post(path, answers.ActionRunEnvelope, body, once=True)).data.action_run

    @flow
    def runs(self, action_id: int, *, limit: int | None = None) -> Flow[answers.ActionRun]:
        """Its runs, newest first."""
        return self._pages(at(_BASE, action_id, "runs"), answers.ActionRunPage, lambda page: page.items, limit)

    @operation
    def run(self, action_id: int, run_id: int) -> Steps[answers.ActionRun]:
        """One of its runs."""
        path = at(_BASE, action_id, "runs", run_id)
        return (yield from self._get(path, answers.ActionRunEnvelope)).data.action_run

    @flow
    def history(self, action_id: int, *, limit: int | None = None) -> Flow[answers.HistoryEntry]:
        """What the model was given and what it answered, newest first."""
        return self._pages(at(_BASE, action_id, "history"), answers.ActionHistory, lambda page: page.history, limit)

    @operation
    def templates(self, source_field: str) -> Steps[answers.Templates]:
        """The template settings of a source field, and the models there are."""
        if source_field.isdigit():
            raise ValueError("A source field that is all digits cannot be told from an action's id")
        return (yield from self._get(at(_BASE, source_field), answers.TemplatesEnvelope)).data

    @operation
    def save_template(self, **fields: Unpack[requests.SaveTemplate]) -> Steps[answers.TemplateSettings]:
        """Saves template settings; a `template_name` that the source field has not makes a new template."""
        return (yield from self._post(_BASE + "/", answers.SavedTemplate, fields)).data
