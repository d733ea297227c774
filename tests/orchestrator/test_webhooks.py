"""Webhooks as the orchestrator keeps them: opened by their token alone, one run for each delivery."""

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from contracts.base import RefusalCode
from contracts.triggers import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    DELIVER_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    OPEN_WEBHOOK,
    UPDATE_WEBHOOK,
    CreatedWebhook,
    CreateWebhook,
    DeliverWebhook,
    GetWebhook,
    ListWebhooks,
    OpenWebhook,
    UpdateWebhook,
)
from contracts.workflows import DELETE_WORKFLOW, GetWorkflow

from .answering import Router
from .workflow_runs import ended, refusal, workflow

pytestmark = pytest.mark.usefixtures("service")

OWNER = Principal(id="someone", name="Someone", role="member")


async def hooked(bus: Bus, *, signed: bool = False) -> CreatedWebhook:
    """A webhook of a new workflow that needs a topic."""
    workflow_id = await workflow(bus, {"name": "a", "says": "About {topic}"}, inputs={"topic": None})
    with calling(Call(principal=OWNER)):
        return await bus.ask(CREATE_WEBHOOK, CreateWebhook(workflow_id=workflow_id, name="from afar", signed=signed))


def opening(hook: CreatedWebhook) -> OpenWebhook:
    return OpenWebhook(token=hook.url.removeprefix("/api/hooks/"))


async def test_a_token_opens_its_webhook_until_that_is_disabled_deleted_or_without_a_workflow(caller: Bus) -> None:
    hook = await hooked(caller)
    opened = await caller.ask(OPEN_WEBHOOK, opening(hook))
    assert (opened.webhook_id, opened.owner, opened.signing_secret) == (hook.id, OWNER.id, None)
    other = await hooked(caller)
    wrong = opening(hook).token.replace(f"_{hook.id}_", f"_{other.id}_")
    for token in (wrong, "nothing", f"hook_{2**59}_{'a' * 43}"):
        assert await refusal(caller.ask(OPEN_WEBHOOK, OpenWebhook(token=token))) is RefusalCode.NOT_FOUND
    named = {"workflow_id": hook.workflow_id, "webhook_id": hook.id}
    with calling(Call(principal=OWNER)):
        off = await caller.ask(UPDATE_WEBHOOK, UpdateWebhook(**named, enabled=False))
        assert (off.enabled, off.name) == (False, "from afar")
        assert await refusal(caller.ask(OPEN_WEBHOOK, opening(hook))) is RefusalCode.NOT_FOUND
        await caller.ask(UPDATE_WEBHOOK, UpdateWebhook(**named, enabled=True))
        await caller.ask(OPEN_WEBHOOK, opening(hook))
        await caller.ask(DELETE_WEBHOOK, GetWebhook(**named))
    assert await refusal(caller.ask(OPEN_WEBHOOK, opening(hook))) is RefusalCode.NOT_FOUND
    await caller.ask(DELETE_WORKFLOW, GetWorkflow(workflow_id=other.workflow_id))
    assert await refusal(caller.ask(OPEN_WEBHOOK, opening(other))) is RefusalCode.NOT_FOUND


async def test_a_delivery_starts_one_run_in_the_owners_name_however_often_it_comes(caller: Bus, router: Router) -> None:
    hook = await hooked(caller)
    delivery = DeliverWebhook(webhook_id=hook.id, body={"topic": "rivers", "else": 1})
    with calling(Call(principal=OWNER, idempotency_key="webhook:1:a")):
        started = await caller.ask(DELIVER_WEBHOOK, delivery)
        assert (await caller.ask(DELIVER_WEBHOOK, delivery)).runId == started.runId
    run = await ended(caller, started.runId)
    assert (run.status, run.inputs, len(router.asked)) == ("completed", {"topic": "rivers"}, 1)
    assert (run.trigger, run.trigger_id) == ("webhook", hook.id)
    shown = await caller.ask(GET_WEBHOOK, GetWebhook(workflow_id=hook.workflow_id, webhook_id=hook.id))
    assert (shown.last_run, shown.last_at is None) == (run.id, False)
    incomplete = DeliverWebhook(webhook_id=hook.id, body=["no topic"])
    with calling(Call(principal=OWNER)):
        assert await refusal(caller.ask(DELIVER_WEBHOOK, incomplete)) is RefusalCode.INVALID


async def test_neither_list_nor_database_can_tell_a_url_or_a_signing_secret(caller: Bus, database: Database) -> None:
    hook = await hooked(caller, signed=True)
    opened = await caller.ask(OPEN_WEBHOOK, opening(hook))
    assert opened.signing_secret == hook.signing_secret is not None
    page = await caller.ask(LIST_WEBHOOKS, ListWebhooks(workflow_id=hook.workflow_id))
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT webhooks::text FROM webhooks WHERE id = $1", hook.id)
    secret = opening(hook).token.split("_", 2)[2]
    for text in (page.model_dump_json(), kept):
        assert secret not in text
        assert hook.signing_secret not in text
    assert [(one.id, one.signed) for one in page.items] == [(hook.id, True)]


async def test_nobody_but_its_owner_and_admins_changes_a_webhook(caller: Bus) -> None:
    hook = await hooked(caller)
    with calling(Call(principal=Principal(id="other", name="Other", role="member"))):
        asked = GetWebhook(workflow_id=hook.workflow_id, webhook_id=hook.id)
        assert await refusal(caller.ask(DELETE_WEBHOOK, asked)) is RefusalCode.FORBIDDEN
