"""Actions and their runs as they are remembered, and as their callers see them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.actions import (
    Action,
    ActionRun,
    ActionStatus,
    CreateAction,
    Diagnostics,
    HistoryEntry,
    RunStatus,
    TemplateSettings,
    UpdateAction,
)
from contracts.base import RefusalCode, Refused
from contracts.prompts import Prompt
from orchestrator.domain.actions.failures import run_error
from orchestrator.domain.actions.purposes import Purpose


@dataclass(frozen=True)
class ActionSettings:
    """What callers say of an action. `prompt_version` is None where it follows its prompt."""

    name: str
    description: str
    input_field: str | None
    output_field: str
    model: str
    status: ActionStatus
    prompt_id: int
    prompt_version: int | None
    temperature: float
    max_tokens: int


@dataclass(frozen=True)
class ActionRecord(ActionSettings):
    """An action with the version of its prompt that it runs with now."""

    id: int
    purpose: Purpose | None
    version_id: int
    version: int
    prompt_name: str
    content: str
    variables: list[str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class NewRun:
    """An execution to be entered. `input_text` is what the model is given."""

    action_id: int
    version_id: int
    post_id: int | None
    owner: str
    idempotency_key: str | None
    input_data: dict[str, Any]
    input_text: str
    model: str


@dataclass(frozen=True)
class Ended:
    """How an execution ended: with `output_data`, or with `error`, which is a refusal as JSON."""

    model: str
    output_data: dict[str, Any] | None = None
    output_text: str = ""
    error: dict[str, Any] | None = None
    tokens_used: int = 0
    execution_time: float = 0.0
    simulated: bool = False


@dataclass(frozen=True)
class ActionRunRecord:
    id: int
    action_id: int
    post_id: int | None
    version: int
    input_data: dict[str, Any]
    input_text: str
    model: str
    status: RunStatus
    output_data: dict[str, Any] | None
    output_text: str
    error: dict[str, Any] | None
    tokens_used: int
    execution_time: float
    simulated: bool
    created_at: datetime
    updated_at: datetime


def action(record: ActionRecord) -> Action:
    return Action(
        id=record.id,
        name=record.name,
        description=record.description,
        input_field=record.input_field,
        output_field=record.output_field,
        field_name=record.output_field,
        model=record.model,
        llm_model=record.model,
        status=record.status,
        prompt_template_id=record.prompt_id,
        prompt_template=record.content,
        prompt_version=record.prompt_version,
        temperature=record.temperature,
        max_tokens=record.max_tokens,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def template_settings(record: ActionRecord) -> TemplateSettings:
    return TemplateSettings(
        template_id=str(record.prompt_id),
        template_name=record.prompt_name,
        source_field=record.input_field or "",
        template=record.content,
        llm_model=record.model,
        temperature=record.temperature,
        max_tokens=record.max_tokens,
    )


def run(record: ActionRunRecord) -> ActionRun:
    return ActionRun(
        id=record.id,
        action_id=record.action_id,
        post_id=record.post_id,
        input_data=record.input_data,
        output_data=record.output_data or {},
        status=record.status,
        diagnostics=Diagnostics(
            tokens_used=record.tokens_used,
            execution_time=record.execution_time,
            model=record.model,
            prompt_version=record.version,
            simulated=record.simulated,
        ),
        error=None if record.error is None else run_error(record.error),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def history_entry(record: ActionRunRecord) -> HistoryEntry:
    return HistoryEntry(
        id=record.id,
        action_id=record.action_id,
        post_id=record.post_id,
        input_text=record.input_text,
        output_text=record.output_text,
        status=record.status,
        error_message=None if record.error is None else str(record.error["message"]),
        created_at=record.created_at,
    )


def new_settings(request: CreateAction, prompt: Prompt) -> ActionSettings:
    """The settings that a caller asks for, in the words of either document. Raises `Refused(INVALID)`."""
    output = _one_of("field_name", request.field_name, "output_field", request.output_field)
    model = _one_of("llm_model", request.llm_model, "model", request.model)
    if output is None or model is None:
        lacking = [name for name, value in (("field_name", output), ("llm_model", model)) if value is None]
        raise _invalid(dict.fromkeys(lacking, "field required"))
    return ActionSettings(
        name=request.name or prompt.name,
        description=request.description,
        input_field=request.input_field or next(iter(prompt.variables), None),
        output_field=output,
        model=model,
        status=request.status,
        prompt_id=prompt.id,
        prompt_version=request.prompt_version,
        temperature=request.temperature,
        max_tokens=request.max_tokens,
    )


def changed_settings(known: ActionRecord, request: UpdateAction) -> ActionSettings:
    """What `known` becomes. Another prompt is followed, unless a version of it is named. Raises `Refused(INVALID)`."""
    prompt_id = request.prompt_template_id or known.prompt_id
    pinned = known.prompt_version if prompt_id == known.prompt_id else None
    return ActionSettings(
        name=request.name or known.name,
        description=known.description if request.description is None else request.description,
        input_field=request.input_field or known.input_field,
        output_field=_one_of("field_name", request.field_name, "output_field", request.output_field)
        or known.output_field,
        model=_one_of("llm_model", request.llm_model, "model", request.model) or known.model,
        status=request.status or known.status,
        prompt_id=prompt_id,
        prompt_version=pinned if request.prompt_version is None else request.prompt_version or None,
        temperature=known.temperature if request.temperature is None else request.temperature,
        max_tokens=request.max_tokens or known.max_tokens,
    )


def _one_of(name: str, value: str | None, other_name: str, other: str | None) -> str | None:
    if value is not None and other is not None and value != other:
        raise _invalid({other_name: f"says another thing than {name}, which is the same field"})
    return value if value is not None else other


def _invalid(errors: dict[str, str]) -> Refused:
    told = [{"field": name, "message": message} for name, message in errors.items()]
    return Refused(RefusalCode.INVALID, "Input validation failed", {"errors": told})
