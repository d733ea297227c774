"""Webhooks for their callers: made, listed, changed, deleted; and, for the gateway, opened and delivered to."""

from typing import Any

from common.context import current
from common.database import Connection
from contracts import triggers as contract
from contracts.base import RefusalCode, Refused
from contracts.triggers import (
    CreatedWebhook,
    CreateWebhook,
    DeliverWebhook,
    GetWebhook,
    ListWebhooks,
    OpenedWebhook,
    OpenWebhook,
    UpdateWebhook,
    Webhook,
    WebhookDeleted,
    WebhookPage,
)
from contracts.workflow_runs import ExecuteWorkflow, ExecutionStarted
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.workflows.runs import Started
from orchestrator.domain.workflows.triggers import MOST, not_found, too_many
from orchestrator.domain.workflows.webhooks import inputs_of, mint, opens, parse, signing_secret, token
from orchestrator.handlers.schedules import check_may_change, check_workflow
from orchestrator.handlers.workflow_runs import execute
from orchestrator.store import definitions, webhooks, workflows
from orchestrator.store.webhooks import OpenHook

_URL = "/api/hooks/{}"


@HANDLERS.on(contract.CREATE_WEBHOOK)
async def create_webhook(deps: Deps, request: CreateWebhook) -> CreatedWebhook:
    """Its owner is the caller. Nobody can tell its URL again."""
    secret = mint(signed=request.signed)
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        await check_workflow(connection, request.workflow_id)
        if await webhooks.count(connection, request.workflow_id) >= MOST:
            raise too_many("webhooks")
        made = await webhooks.insert(
            connection, request.workflow_id, current().owner, request.name, secret, enabled=request.enabled
        )
    return CreatedWebhook(
        **made.model_dump(),
        url=_URL.format(token(made.id, secret)),
        signing_secret=signing_secret(secret.text, secret.salt),
    )


@HANDLERS.on(contract.LIST_WEBHOOKS)
async def list_webhooks(deps: Deps, request: ListWebhooks) -> WebhookPage:
    async with deps.database.connection() as connection:
        await check_workflow(connection, request.workflow_id)
        found, total = await webhooks.page(connection, request.workflow_id, limit=request.limit, offset=request.offset)
    return WebhookPage.of(pages.fitting(found), total, request)


@HANDLERS.on(contract.GET_WEBHOOK)
async def get_webhook(deps: Deps, request: GetWebhook) -> Webhook:
    async with deps.database.connection() as connection:
        return await _known(connection, request)


@HANDLERS.on(contract.UPDATE_WEBHOOK)
async def update_webhook(deps: Deps, request: UpdateWebhook) -> Webhook:
    async with deps.database.transaction() as connection:
        webhook = await _own(connection, request)
        given: dict[str, Any] = {
            name: getattr(request, name) for name in ("name", "enabled") if name in request.model_fields_set
        }
        changed = webhook.model_copy(update=given)
        return await webhooks.update(connection, webhook.id, name=changed.name, enabled=changed.enabled)


@HANDLERS.on(contract.DELETE_WEBHOOK)
async def delete_webhook(deps: Deps, request: GetWebhook) -> WebhookDeleted:
    """The runs that it started are kept."""
    async with deps.database.transaction() as connection:
        webhook = await _own(connection, request)
        await webhooks.delete(connection, webhook.id)
    return WebhookDeleted()


@HANDLERS.on(contract.OPEN_WEBHOOK)
async def open_webhook(deps: Deps, request: OpenWebhook) -> OpenedWebhook:
    """Refused in the same words whatever of the token is wrong."""
    parsed = parse(request.token)
    if parsed is None:
        raise _closed()
    number, secret = parsed
    async with deps.database.connection() as connection:
        hook = await _open(connection, number)
    if not opens(secret, hook.digest):
        raise _closed()
    return OpenedWebhook(webhook_id=hook.id, owner=hook.owner, signing_secret=signing_secret(secret, hook.salt))


@HANDLERS.on(contract.DELIVER_WEBHOOK)
async def deliver_webhook(deps: Deps, request: DeliverWebhook) -> ExecutionStarted:
    """Starts a run in the name of the caller, which is the webhook's owner."""
    async with deps.database.connection() as connection:
        hook = await _open(connection, request.webhook_id)
        workflow = await workflows.get(connection, hook.workflow_id)
    declared = {} if workflow is None or workflow.inputs is None else workflow.inputs
    inputs = inputs_of(request.body, declared)
    asked = ExecuteWorkflow(workflow_id=hook.workflow_id, inputs=inputs)
    started = await execute(deps, asked, Started("webhook", hook.id))
    async with deps.database.connection() as connection:
        await webhooks.used(connection, hook.id, started.runId)
    return started


async def _open(connection: Connection, webhook_id: int) -> OpenHook:
    hook = await webhooks.find_open(connection, webhook_id)
    if hook is None:
        raise _closed()
    return hook


def _closed() -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "There is no such webhook")


async def _own(connection: Connection, request: GetWebhook) -> Webhook:
    """The webhook, locked, which the caller may change. Raises `Refused`."""
    webhook = await _known(connection, request, lock=True)
    check_may_change(webhook.owner)
    return webhook


async def _known(connection: Connection, request: GetWebhook, *, lock: bool = False) -> Webhook:
    webhook = await webhooks.get(connection, request.workflow_id, request.webhook_id, lock=lock)
    if webhook is None:
        raise not_found("Webhook", request.webhook_id)
    return webhook
