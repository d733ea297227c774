"""Actions for their callers: listed, made, changed, deleted, executed; their runs and history."""

from collections.abc import AsyncIterator

from common.database import Connection
from contracts import actions as contract
from contracts.actions import (
    Action,
    ActionHistory,
    ActionPage,
    ActionRun,
    ActionRunPage,
    CreateAction,
    ExecuteAction,
    GetAction,
    GetActionRun,
    GetHistory,
    ListActionRuns,
    ListActions,
    RunEntered,
    UpdateAction,
)
from contracts.base import RefusalCode, Refused
from contracts.prompts import Prompt
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions import records
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.actions.purposes import check_variables
from orchestrator.domain.actions.records import ActionRecord, ActionSettings
from orchestrator.engine import executions
from orchestrator.store import action_runs, actions, posts, prompts


@HANDLERS.on(contract.LIST_ACTIONS)
async def list_actions(deps: Deps, request: ListActions) -> ActionPage:
    async with deps.database.connection() as connection:
        found = await actions.listed(connection, after=request.after, limit=pages.MOST + 1)
    fitting = pages.fitting([records.action(one) for one in found[: pages.MOST]])
    return ActionPage(actions=fitting, more=len(fitting) < len(found))


@HANDLERS.on(contract.CREATE_ACTION)
async def create_action(deps: Deps, request: CreateAction) -> Action:
    async with deps.database.transaction() as connection:
        prompt = await _prompt(connection, request.prompt_template_id)
        settings = records.new_settings(request, prompt)
        await _check_version(connection, settings)
        action_id = await actions.insert(connection, settings)
        return records.action(await _known(connection, action_id))


@HANDLERS.on(contract.GET_ACTION)
async def get_action(deps: Deps, request: GetAction) -> Action:
    async with deps.database.connection() as connection:
        return records.action(await _known(connection, request.action_id))


@HANDLERS.on(contract.UPDATE_ACTION)
async def update_action(deps: Deps, request: UpdateAction) -> Action:
    async with deps.database.transaction() as connection:
        known = await actions.lock(connection, request.action_id)
        if known is None:
            raise not_found("Action", request.action_id)
        settings = records.changed_settings(known, request)
        if settings.prompt_id != known.prompt_id:
            await _prompt(connection, settings.prompt_id)
        await _check_version(connection, settings)
        await actions.update(connection, known.id, settings)
        changed = await _known(connection, known.id)
        check_variables(changed.purpose, changed.variables)
        return records.action(changed)


@HANDLERS.on(contract.DELETE_ACTION)
async def delete_action(deps: Deps, request: GetAction) -> Action:
    """What it was. Its runs are kept."""
    async with deps.database.transaction() as connection:
        known = await actions.lock(connection, request.action_id)
        if known is None:
            raise not_found("Action", request.action_id)
        if known.purpose is not None:
            message = f"The action is what {known.purpose} runs: it can be changed, and not deleted"
            raise Refused(RefusalCode.CONFLICT, message)
        await actions.delete(connection, known.id)
    return records.action(known)


async def _prompt(connection: Connection, prompt_id: int) -> Prompt:
    """The prompt, which nobody deletes before the transaction ends. Raises `Refused(NOT_FOUND)`."""
    prompt = await prompts.lock(connection, prompt_id)
    if prompt is None:
        raise not_found("Prompt", prompt_id)
    return prompt


async def _check_version(connection: Connection, settings: ActionSettings) -> None:
    version = settings.prompt_version
    if version is not None and not await prompts.has_version(connection, settings.prompt_id, version):
        raise not_found(f"Version {version} of prompt", settings.prompt_id)


async def _known(connection: Connection, action_id: int) -> ActionRecord:
    action = await actions.get(connection, action_id)
    if action is None:
        raise not_found("Action", action_id)
    return action


# Runs


@HANDLERS.on_stream(contract.EXECUTE_ACTION)
async def execute_action(deps: Deps, request: ExecuteAction) -> AsyncIterator[RunEntered | ActionRun]:
    async with deps.database.connection() as connection:
        action = await _known(connection, request.action_id)
        if request.post_id is not None and await posts.get(connection, request.post_id) is None:
            raise not_found("Post", request.post_id)
    async for item in executions.execute(deps, action, request.input_data, post_id=request.post_id):
        yield item if isinstance(item, RunEntered) else records.run(item)


@HANDLERS.on(contract.GET_ACTION_RUN)
async def get_action_run(deps: Deps, request: GetActionRun) -> ActionRun:
    async with deps.database.connection() as connection:
        action = await _known(connection, request.action_id)
        run = await action_runs.get(connection, request.run_id)
    if run is None or run.action_id != action.id:
        raise not_found("Action run", request.run_id)
    return records.run(run)


@HANDLERS.on(contract.LIST_ACTION_RUNS)
async def list_action_runs(deps: Deps, request: ListActionRuns) -> ActionRunPage:
    async with deps.database.connection() as connection:
        action = await _known(connection, request.action_id)
        found, total = await action_runs.page(connection, action.id, limit=request.limit, offset=request.offset)
    return ActionRunPage.of(pages.fitting([records.run(run) for run in found]), total, request)


@HANDLERS.on(contract.GET_HISTORY)
async def get_history(deps: Deps, request: GetHistory) -> ActionHistory:
    async with deps.database.connection() as connection:
        action = await _known(connection, request.action_id)
        found, total = await action_runs.page(connection, action.id, limit=request.limit, offset=request.offset)
    history = pages.fitting([records.history_entry(run) for run in found])
    return ActionHistory(
        action=records.action(action), history=history, total=total, has_more=request.offset + len(history) < total
    )
