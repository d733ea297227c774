"""Documents A and B around actions and prompts: their envelopes, and the two styles of the list of actions."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, RootModel

from contracts.actions import Action, ActionRun, Templates, TemplateSettings
from contracts.base import Message
from contracts.gateway import ResponseStyle
from contracts.prompts import Prompt


class Succeeded(Message):
    """All that document B says of a deletion."""

    status: Literal["success"] = "success"


# Actions


class ActionsData(Message):
    actions: list[Action]


class ActionsEnvelope(Succeeded):
    """Document A's list."""

    data: ActionsData


class ActionList(RootModel[ActionsEnvelope | list[Action]]):
    """Document A's envelope, or document B's bare list where the style is `plain`."""


class SavedAction(Succeeded):
    """Document B's answer to who makes or changes an action."""

    action: Action


class ActionRunData(Message):
    action_run: ActionRun


class ActionRunEnvelope(Succeeded):
    data: ActionRunData


def action_list(actions: Sequence[Action], style: ResponseStyle) -> ActionList:
    if style == "plain":
        return ActionList(list(actions))
    return ActionList(ActionsEnvelope(data=ActionsData(actions=list(actions))))


def saved_action(action: Action) -> SavedAction:
    return SavedAction(action=action)


def deleted_action(_: Action) -> Succeeded:
    return Succeeded()


def action_run(run: ActionRun) -> ActionRunEnvelope:
    return ActionRunEnvelope(data=ActionRunData(action_run=run))


# Template settings


class NamedAction(Message):
    """What stands behind `/actions/`: digits are the id of an action, anything else is a source field."""

    action_id: str = Field(
        min_length=1, max_length=200, description="The id of an action; anything but digits alone is a source field"
    )

    @property
    def number(self) -> int | None:
        """The id of an action; None for a source field."""
        return int(self.action_id) if self.action_id.isascii() and self.action_id.isdigit() else None


class SavedTemplate(Succeeded):
    message: str = "Template settings saved successfully"
    data: TemplateSettings


class TemplatesEnvelope(Succeeded):
    data: Templates


class ActionOrTemplates(RootModel[Action | TemplatesEnvelope]):
    """An action, or the template settings of a source field."""


def saved_template(settings: TemplateSettings) -> SavedTemplate:
    return SavedTemplate(data=settings)


# Prompts


class PromptsData(Message):
    prompts: list[Prompt]


class PromptsEnvelope(Succeeded):
    """Document A's list."""

    data: PromptsData


class PromptData(Message):
    prompt: Prompt


class PromptEnvelope(Succeeded):
    data: PromptData


def prompt_list(prompts: Sequence[Prompt]) -> PromptsEnvelope:
    return PromptsEnvelope(data=PromptsData(prompts=list(prompts)))


def deleted_prompt(_: Prompt) -> Succeeded:
    return Succeeded()


def one_prompt(prompt: Prompt) -> PromptEnvelope:
    return PromptEnvelope(data=PromptData(prompt=prompt))
