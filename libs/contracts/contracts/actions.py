"""Actions, their runs and history, and template settings (documents A and B). The orchestrator answers all of it."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contracts.base import Message, RefusalCode, Rpc, Stream, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id, PromptName, Template

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"\S")]
Temperature = Annotated[float, Field(ge=0, le=2)]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]
ActionStatus = Literal["active", "inactive"]
RunStatus = Literal["running", "completed", "failed"]

# Actions


class Action(Message):
    """The union of both documents' fields: `field_name` is `output_field`, `llm_model` is `model`.

    `prompt_template` is the content that it runs with: of `prompt_version`, or of the newest version where that is
    null.
    """

    id: int
    name: str
    description: str
    input_field: str | None
    output_field: str
    field_name: str
    model: str
    llm_model: str
    status: ActionStatus
    prompt_template_id: int
    prompt_template: str
    prompt_version: int | None
    temperature: float
    max_tokens: int
    created_at: Timestamp
    updated_at: Timestamp


class ListActions(Message):
    """The first actions by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class ActionPage(Message):
    """As many as fit; `more` says that there are others."""

    actions: list[Action]
    more: bool


class CreateAction(Message):
    """An action to make, in the words of either document: `field_name` or `output_field`, `llm_model` or `model`.

    Without `prompt_version` it follows its prompt. Without `name` it has that of its prompt; without `input_field` its
    input is the prompt's first variable.
    """

    field_name: FieldName | None = None
    prompt_template_id: Id
    llm_model: ModelName | None = None
    temperature: Temperature = 0.7
    max_tokens: MaxTokens = 1000
    name: PromptName | None = None
    description: str = Field(default="", max_length=2000)
    input_field: FieldName | None = None
    output_field: FieldName | None = None
    model: ModelName | None = None
    status: ActionStatus = "active"
    prompt_version: int | None = Field(default=None, ge=1, le=2**31 - 1)


class UpdateAction(Message):
    """Changes the given fields. `prompt_version` 0 follows the prompt again."""

    action_id: Id
    field_name: FieldName | None = None
    prompt_template_id: Id | None = None
    llm_model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    name: PromptName | None = None
    description: str | None = Field(default=None, max_length=2000)
    input_field: FieldName | None = None
    output_field: FieldName | None = None
    model: ModelName | None = None
    status: ActionStatus | None = None
    prompt_version: int | None = Field(default=None, ge=0, le=2**31 - 1)


class GetAction(Message):
    action_id: Id


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_SAVED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)

LIST_ACTIONS = Rpc("orchestrator.v1.actions.list", ListActions, ActionPage)
CREATE_ACTION = Rpc("orchestrator.v1.actions.create", CreateAction, Action, refusals=_SAVED)
GET_ACTION = Rpc("orchestrator.v1.actions.get", GetAction, Action, refusals=_UNKNOWN)
UPDATE_ACTION = Rpc("orchestrator.v1.actions.update", UpdateAction, Action, refusals=_SAVED)
DELETE_ACTION = Rpc(
    "orchestrator.v1.actions.delete", GetAction, Action, refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)
)

# Runs


class ExecuteAction(Message):
    """`input_data` holds the prompt's variables. `post_id` names the post that it is done for, if any.

    A prompt without variables is followed by the value of the action's input field.
    """

    action_id: Id
    input_data: dict[str, Any] = Field(max_length=1000)
    post_id: Id | None = None


class RunEntered(Message):
    """Told at once: whatever happens now, the execution is kept as this run, and is not done again."""

    run_id: int


class Diagnostics(Message):
    """`execution_time` in seconds. `model` is the one that answered, or was asked where none did.

    `simulated` says that no language model ran.
    """

    tokens_used: int
    execution_time: float
    model: str
    prompt_version: int
    simulated: bool


class RunError(Message):
    """Why a run failed, in document B's words; `temporary` failures may pass by themselves."""

    code: str
    type: str
    message: str
    temporary: bool


class ActionRun(Message):
    """One execution of an action. `error` is there once it has failed, and `output_data` is empty until it has
    completed."""

    id: int
    action_id: int
    post_id: int | None
    input_data: dict[str, Any]
    output_data: dict[str, Any]
    status: RunStatus
    diagnostics: Diagnostics
    error: RunError | None
    created_at: Timestamp
    updated_at: Timestamp


class GetActionRun(Message):
    action_id: Id
    run_id: Id


class ListActionRuns(PageRequest):
    """Runs of an action, newest first."""

    action_id: Id


class ActionRunPage(Page[ActionRun]):
    """Runs, newest first."""


class HistoryEntry(Message):
    """A run in document B's words: the whole prompt that the model was given, and the text that it answered."""

    id: int
    action_id: int
    post_id: int | None
    input_text: str
    output_text: str
    status: RunStatus
    error_message: str | None
    created_at: Timestamp


class GetHistory(PageRequest):
    """The newest `limit` runs after `offset` newer ones."""

    action_id: Id
    limit: int = Field(default=100, ge=1, le=1000)


class ActionHistory(Message):
    """Newest first."""

    action: Action
    history: list[HistoryEntry]
    total: int
    has_more: bool


EXECUTION_REFUSALS = (
    RefusalCode.NOT_FOUND,
    RefusalCode.INVALID,
    RefusalCode.CONFLICT,
    RefusalCode.FORBIDDEN,
    RefusalCode.RATE_LIMITED,
    RefusalCode.QUOTA_EXHAUSTED,
    RefusalCode.ENGINE_FAILED,
    RefusalCode.ENGINE_UNAVAILABLE,
    RefusalCode.UNAVAILABLE,
    RefusalCode.TIMEOUT,
)

EXECUTION_SECONDS = 600.0
"""More than an execution may take."""

EXECUTE_ACTION = Stream(
    "orchestrator.v1.actions.execute",
    ExecuteAction,
    RunEntered,
    ActionRun,
    refusals=EXECUTION_REFUSALS,
    timeout=EXECUTION_SECONDS,
)
GET_ACTION_RUN = Rpc("orchestrator.v1.actions.get_run", GetActionRun, ActionRun, refusals=_UNKNOWN)
LIST_ACTION_RUNS = Rpc("orchestrator.v1.actions.list_runs", ListActionRuns, ActionRunPage, refusals=_UNKNOWN)
GET_HISTORY = Rpc("orchestrator.v1.actions.history", GetHistory, ActionHistory, refusals=_UNKNOWN)

# Template settings

SourceField = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^/]*[^0-9/][^/]*$"),
    Field(description="Not digits alone, which are the id of an action, and no slash."),
]


class SaveTemplate(Message):
    """Settings to keep for a source field. With a `template_name` that the field has not, they become a new template;
    without one they change the template that was saved last, or become the first."""

    source_field: SourceField
    template: Template
    llm_model: ModelName
    temperature: Temperature
    max_tokens: MaxTokens
    template_name: PromptName | None = None


class TemplateSettings(Message):
    """An action in the words of document B's template settings. `template_id` is the id of its prompt."""

    template_id: str
    template_name: str
    source_field: str
    template: str
    llm_model: str
    temperature: float
    max_tokens: int


class GetTemplates(Message):
    source_field: SourceField


class Templates(Message):
    """The templates of a source field, the one saved last first, and the names of the models that can be asked."""

    templates: list[TemplateSettings]
    models: list[str]


SAVE_TEMPLATE = Rpc("orchestrator.v1.templates.save", SaveTemplate, TemplateSettings, refusals=_SAVED)
GET_TEMPLATES = Rpc("orchestrator.v1.templates.get", GetTemplates, Templates)
