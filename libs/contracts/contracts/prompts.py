"""Prompts: versioned templates with named variables (document A). The orchestrator answers all of it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""The number of a prompt, an action, a run, a post or a section."""

PromptName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]

Template = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200_000, pattern=r"\S"),
    Field(description="Named variables alone: `{name}`. A brace itself is written twice, `{{` or `}}`."),
]


class Prompt(Message):
    """A prompt in its newest version. `variables` are those of its content, in order."""

    id: int
    name: str
    content: str
    variables: list[str]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class PromptVersion(Message):
    """A version, which never changes."""

    version: int
    content: str
    variables: list[str]
    created_at: Timestamp


class ListPrompts(Message):
    """The first prompts by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class PromptPage(Message):
    """As many as fit; `more` says that there are others."""

    prompts: list[Prompt]
    more: bool


class CreatePrompt(Message):
    name: PromptName
    content: Template


class GetPrompt(Message):
    prompt_id: Id


class UpdatePrompt(Message):
    """Changes the given fields. Another content becomes the next version."""

    prompt_id: Id
    name: PromptName | None = None
    content: Template | None = None


class ListPromptVersions(PageRequest):
    """Versions of a prompt, newest first."""

    prompt_id: Id


class PromptVersionPage(Page[PromptVersion]):
    """Versions, newest first."""


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_SAVED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)

LIST_PROMPTS = Rpc("orchestrator.v1.prompts.list", ListPrompts, PromptPage)
CREATE_PROMPT = Rpc(
    "orchestrator.v1.prompts.create", CreatePrompt, Prompt, refusals=(RefusalCode.INVALID, RefusalCode.CONFLICT)
)
GET_PROMPT = Rpc("orchestrator.v1.prompts.get", GetPrompt, Prompt, refusals=_UNKNOWN)
UPDATE_PROMPT = Rpc("orchestrator.v1.prompts.update", UpdatePrompt, Prompt, refusals=_SAVED)
DELETE_PROMPT = Rpc(
    "orchestrator.v1.prompts.delete", GetPrompt, Prompt, refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)
)
LIST_PROMPT_VERSIONS = Rpc("orchestrator.v1.prompts.versions", ListPromptVersions, PromptVersionPage, refusals=_UNKNOWN)
