"""Rows of what starts runs by itself: schedules of workflows, and webhooks that other systems call."""

from contracts import triggers
from contracts.base import Message, RefusalCode
from contracts.workflow_runs import ExecutionStarted
from gateway.routes.table import HOOKS, Route, Special, Tag, asks

_SCHEDULES = "/api/workflows/{workflow_id:\\d+}/schedules"
_SCHEDULE = _SCHEDULES + "/{schedule_id:\\d+}"
_WEBHOOKS = "/api/workflows/{workflow_id:\\d+}/webhooks"
_WEBHOOK = _WEBHOOKS + "/{webhook_id:\\d+}"


class CallWebhook(Message):
    """`hook_id` is the secret end of the webhook's URL."""

    hook_id: str


TRIGGERS = (
    asks(
        "POST",
        _SCHEDULES,
        triggers.CREATE_SCHEDULE,
        tag=Tag.WORKFLOWS,
        summary="Run a workflow by a schedule",
        description=(
            "`cron` is read on the clocks of `time_zone`. Runs start in the caller's name, with the workflow as it is"
            " then. While the run before goes on a start is left out (`skip`), or one waits for its end (`queue`). Of"
            " starts that were missed one is made up for."
        ),
        status=201,
        example={"cron": "30 7 * * mon-fri", "time_zone": "Europe/Berlin", "inputs": {"topic": "rivers"}},
    ),
    asks("GET", _SCHEDULES, triggers.LIST_SCHEDULES, tag=Tag.WORKFLOWS, summary="List the schedules of a workflow"),
    asks("GET", _SCHEDULE, triggers.GET_SCHEDULE, tag=Tag.WORKFLOWS, summary="Get a schedule"),
    asks(
        "PUT",
        _SCHEDULE,
        triggers.UPDATE_SCHEDULE,
        tag=Tag.WORKFLOWS,
        summary="Change a schedule",
        description="Changes the given fields. For its owner and admins.",
        example={"enabled": False},
    ),
    asks(
        "DELETE",
        _SCHEDULE,
        triggers.DELETE_SCHEDULE,
        tag=Tag.WORKFLOWS,
        summary="Delete a schedule",
        description="Its runs stay. For its owner and admins.",
    ),
    asks(
        "POST",
        _WEBHOOKS,
        triggers.CREATE_WEBHOOK,
        tag=Tag.WORKFLOWS,
        summary="Let another system start a workflow",
        description=(
            "`url` is the secret of whoever shall call it, and told this once. A `signed` webhook takes only bodies"
            " with `X-Hub-Signature-256: sha256=…`, their HMAC-SHA256 under `signing_secret`, in hexadecimal digits."
            " Runs start in the name of whoever makes the webhook."
        ),
        status=201,
        example={"name": "From the ticket system"},
    ),
    asks("GET", _WEBHOOKS, triggers.LIST_WEBHOOKS, tag=Tag.WORKFLOWS, summary="List the webhooks of a workflow"),
    asks("GET", _WEBHOOK, triggers.GET_WEBHOOK, tag=Tag.WORKFLOWS, summary="Get a webhook"),
    asks(
        "PUT",
        _WEBHOOK,
        triggers.UPDATE_WEBHOOK,
        tag=Tag.WORKFLOWS,
        summary="Rename, disable or enable a webhook",
        description="Changes the given fields. For its owner and admins.",
        example={"enabled": False},
    ),
    asks(
        "DELETE",
        _WEBHOOK,
        triggers.DELETE_WEBHOOK,
        tag=Tag.WORKFLOWS,
        summary="Delete a webhook",
        description="Its runs stay. For its owner and admins.",
    ),
    Route(
        method="POST",
        path=HOOKS + "{hook_id}",
        tag=Tag.WORKFLOWS,
        summary="Call a webhook",
        description=(
            "Starts a run, and answers at once. The body is JSON or a form, of at most 1 MiB: of an object, the inputs"
            " that the workflow declares are taken, all of them where it declares none; a declared input `body`, and"
            " anything but an object, is the whole. A delivery that comes again under the same `Idempotency-Key`,"
            " `Webhook-Id` or `X-GitHub-Delivery` starts nothing more."
        ),
        role=None,
        request=CallWebhook,
        response=ExecutionStarted,
        special=Special.CALL_WEBHOOK,
        once=True,
        refusals=(
            *triggers.DELIVER_WEBHOOK.refusals,
            RefusalCode.UNAUTHENTICATED,
            RefusalCode.TOO_LARGE,
            RefusalCode.UNAVAILABLE,
            RefusalCode.TIMEOUT,
        ),
    ),
)
