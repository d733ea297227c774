"""Template settings (document B): actions by the field that they read."""

from dataclasses import replace

from common.database import Connection, UniqueViolation
from contracts import actions as contract
from contracts import router
from contracts.actions import GetTemplates, SaveTemplate, Templates, TemplateSettings
from contracts.base import Empty
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions import templates
from orchestrator.domain.actions.records import ActionRecord, ActionSettings, template_settings
from orchestrator.handlers.prompts import name_taken, write
from orchestrator.store import actions, prompts


@HANDLERS.on(contract.SAVE_TEMPLATE)
async def save_template(deps: Deps, request: SaveTemplate) -> TemplateSettings:
    variables = templates.variables(request.template, field="template")
    name = request.template_name or request.source_field
    try:
        async with deps.database.transaction() as connection:
            known = await _lock_known(connection, request)
            if known is None:
                prompt_id = await prompts.insert(connection, name, request.template, variables)
                action_id = await actions.insert(connection, _new(request, name, prompt_id))
            else:
                action_id = await _change(connection, known, request)
            saved = await actions.get(connection, action_id)
            assert saved is not None  # noqa: S101 - it has just been written
    except UniqueViolation:
        raise name_taken(name, field="template_name") from None
    return template_settings(saved)


async def _lock_known(connection: Connection, request: SaveTemplate) -> ActionRecord | None:
    """The template of the field that the settings are for; None for a new one.

    What the platform itself runs changes only for those who name it.
    """
    for action in await actions.of_input(connection, request.source_field, limit=pages.MOST):
        meant = action.purpose is None if request.template_name is None else action.prompt_name == request.template_name
        if meant:
            # The action first and then its prompt, as whoever changes an action: so no two wait for each other.
            return await actions.lock(connection, action.id)
    return None


def _new(request: SaveTemplate, name: str, prompt_id: int) -> ActionSettings:
    return ActionSettings(
        name=name,
        description="",
        input_field=request.source_field,
        output_field=request.source_field,
        model=request.llm_model,
        status="active",
        prompt_id=prompt_id,
        prompt_version=None,
        temperature=request.temperature,
        max_tokens=request.max_tokens,
    )


async def _change(connection: Connection, known: ActionRecord, request: SaveTemplate) -> int:
    prompt = await prompts.lock(connection, known.prompt_id)
    assert prompt is not None  # noqa: S101 - a prompt that is used is not deleted
    await write(connection, prompt, request.template, field="template")
    settings = replace(
        known,
        model=request.llm_model,
        temperature=request.temperature,
        max_tokens=request.max_tokens,
        prompt_version=None,
    )
    await actions.update(connection, known.id, settings)
    return known.id


@HANDLERS.on(contract.GET_TEMPLATES)
async def get_templates(deps: Deps, request: GetTemplates) -> Templates:
    async with deps.database.connection() as connection:
        found = await actions.of_input(connection, request.source_field, limit=pages.MOST)
    served = await deps.bus.ask(router.LIST_SERVED_MODELS, Empty())
    return Templates(
        templates=pages.fitting([template_settings(action) for action in found]),
        models=[model.name for model in served.models if model.status == "active"],
    )
