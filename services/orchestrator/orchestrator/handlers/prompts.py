"""Prompts for their callers: listed, made, changed, deleted, and the versions that they had."""

from common.database import Connection, UniqueViolation
from contracts import prompts as contract
from contracts.base import RefusalCode, Refused
from contracts.prompts import (
    CreatePrompt,
    GetPrompt,
    ListPrompts,
    ListPromptVersions,
    Prompt,
    PromptPage,
    PromptVersionPage,
    UpdatePrompt,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions import templates
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.actions.purposes import check_variables
from orchestrator.store import actions, prompts

_NAMES_SHOWN = 10


@HANDLERS.on(contract.LIST_PROMPTS)
async def list_prompts(deps: Deps, request: ListPrompts) -> PromptPage:
    async with deps.database.connection() as connection:
        found = await prompts.listed(connection, after=request.after, limit=pages.MOST + 1)
    fitting = pages.fitting(found[: pages.MOST])
    return PromptPage(prompts=fitting, more=len(fitting) < len(found))


@HANDLERS.on(contract.CREATE_PROMPT)
async def create_prompt(deps: Deps, request: CreatePrompt) -> Prompt:
    variables = templates.variables(request.content)
    try:
        async with deps.database.transaction() as connection:
            prompt_id = await prompts.insert(connection, request.name, request.content, variables)
            return await known(connection, prompt_id)
    except UniqueViolation:
        raise name_taken(request.name) from None


@HANDLERS.on(contract.GET_PROMPT)
async def get_prompt(deps: Deps, request: GetPrompt) -> Prompt:
    async with deps.database.connection() as connection:
        return await known(connection, request.prompt_id)


@HANDLERS.on(contract.UPDATE_PROMPT)
async def update_prompt(deps: Deps, request: UpdatePrompt) -> Prompt:
    """Another content is the next version; the same one is none."""
    try:
        async with deps.database.transaction() as connection:
            prompt = await prompts.lock(connection, request.prompt_id)
            if prompt is None:
                raise not_found("Prompt", request.prompt_id)
            if request.name is not None and request.name != prompt.name:
                await prompts.rename(connection, prompt.id, request.name)
            if request.content is not None:
                await write(connection, prompt, request.content)
            return await known(connection, prompt.id)
    except UniqueViolation:
        raise name_taken(request.name or "") from None


async def write(connection: Connection, prompt: Prompt, content: str, *, field: str = "content") -> None:
    """Gives a locked prompt another content. Raises `Refused(INVALID)`, also for what its actions cannot know."""
    if content == prompt.content:
        return
    variables = templates.variables(content, field=field)
    for action in await actions.of_prompt(connection, prompt.id):
        check_variables(action.purpose, variables, field=field)
    await prompts.add_version(connection, prompt, content, variables)


@HANDLERS.on(contract.DELETE_PROMPT)
async def delete_prompt(deps: Deps, request: GetPrompt) -> Prompt:
    """What it was. Raises `Refused(CONFLICT)` naming the actions that use it."""
    async with deps.database.transaction() as connection:
        prompt = await prompts.lock(connection, request.prompt_id)
        if prompt is None:
            raise not_found("Prompt", request.prompt_id)
        if users := await actions.of_prompt(connection, prompt.id):
            named = ", ".join(f"{user.name} ({user.id})" for user in users[:_NAMES_SHOWN])
            counted = "1 action" if len(users) == 1 else f"{len(users)} actions"
            raise Refused(RefusalCode.CONFLICT, f"The prompt is used by {counted}: {named}")
        await prompts.delete(connection, prompt.id)
    return prompt


@HANDLERS.on(contract.LIST_PROMPT_VERSIONS)
async def list_prompt_versions(deps: Deps, request: ListPromptVersions) -> PromptVersionPage:
    async with deps.database.connection() as connection:
        prompt = await known(connection, request.prompt_id)
        found = await prompts.versions(connection, prompt.id, limit=request.limit, offset=request.offset)
    return PromptVersionPage.of(pages.fitting(found), prompt.version, request)


async def known(connection: Connection, prompt_id: int) -> Prompt:
    """Raises `Refused(NOT_FOUND)`."""
    prompt = await prompts.get(connection, prompt_id)
    if prompt is None:
        raise not_found("Prompt", prompt_id)
    return prompt


def name_taken(name: str, field: str = "name") -> Refused:
    message = f"There is a prompt {name!r} already"
    return Refused(RefusalCode.CONFLICT, message, {"errors": [{"field": field, "message": message}]})
