"""What starts runs of workflows by itself: schedules, and webhooks that other systems call.

The orchestrator answers all of it. Such a run belongs to the owner of what started it: the owner's budget pays, and
nothing starts once the owner may not call any more.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id
from contracts.workflow_runs import ExecutionStarted, RunInputs
from contracts.workflows import Change

Cron = Annotated[
    str,
    StringConstraints(min_length=9, max_length=200),
    Field(description="Minute, hour, day of month, month and day of week, as cron(5) has them"),
]
TimeZone = Annotated[
    str, StringConstraints(min_length=1, max_length=64), Field(description="IANA name, as `Europe/Berlin`")
]
Overlap = Literal["skip", "queue"]
"""What becomes of a start while the run before goes on: left out, or made when that has ended. One waits at most."""
TriggerInputs = Annotated[RunInputs, Field(max_length=200)]


# Schedules


class Schedule(Message):
    """`next_at` is null while it is not `enabled`. `last_at` is the moment that the last start was due, `last_run` the
    run that it made, `error` why it made none."""

    id: int
    workflow_id: int
    cron: str
    time_zone: str
    inputs: RunInputs
    overlap: Overlap
    enabled: bool
    owner: str
    next_at: Timestamp | None
    last_at: Timestamp | None
    last_run: int | None
    error: str | None
    created_at: Timestamp
    updated_at: Timestamp


class ListSchedules(PageRequest):
    workflow_id: Id


class SchedulePage(Page[Schedule]):
    """Schedules, by id."""


class CreateSchedule(Message):
    workflow_id: Id
    cron: Cron
    time_zone: TimeZone = "UTC"
    inputs: TriggerInputs = {}
    overlap: Overlap = "skip"
    enabled: bool = True


class GetSchedule(Message):
    workflow_id: Id
    schedule_id: Id


class UpdateSchedule(Change, GetSchedule):
    """Changes the given fields."""

    cron: Cron = ""
    time_zone: TimeZone = ""
    inputs: TriggerInputs = {}
    overlap: Overlap = "skip"
    enabled: bool = True


class ScheduleDeleted(Message):
    message: str = "Schedule deleted successfully"


# Webhooks


class Webhook(Message):
    """`signed` ones take only what is signed with their secret. `last_at` is when one last started a run."""

    id: int
    workflow_id: int
    name: str
    signed: bool
    enabled: bool
    owner: str
    last_at: Timestamp | None
    last_run: int | None
    created_at: Timestamp
    updated_at: Timestamp


class CreatedWebhook(Webhook):
    """The answer to making one, and the only one that ever holds `url` and `signing_secret`."""

    url: str
    signing_secret: str | None


class ListWebhooks(PageRequest):
    workflow_id: Id


class WebhookPage(Page[Webhook]):
    """Webhooks, by id."""


class CreateWebhook(Message):
    workflow_id: Id
    name: str = Field(default="", max_length=200)
    signed: bool = False
    enabled: bool = True


class GetWebhook(Message):
    workflow_id: Id
    webhook_id: Id


class UpdateWebhook(Change, GetWebhook):
    """Changes the given fields."""

    name: str = Field(default="", max_length=200)
    enabled: bool = True


class WebhookDeleted(Message):
    message: str = "Webhook deleted successfully"


# What the gateway asks when a webhook is called

HookToken = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class OpenWebhook(Message):
    token: HookToken


class OpenedWebhook(Message):
    """On whose behalf it starts runs, and the key that what it is sent must be signed with, if any."""

    webhook_id: int
    owner: str
    signing_secret: str | None = None


class DeliverWebhook(Message):
    """`body` is the JSON that was sent. Of an object, the inputs that the workflow declares are taken, all where it
    declares none; the declared input `body`, and anything but an object, is the whole."""

    webhook_id: Id
    body: Any = None


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_CHANGED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.FORBIDDEN, RefusalCode.CONFLICT)
_OWNED = (RefusalCode.NOT_FOUND, RefusalCode.FORBIDDEN)
_CREATED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.CONFLICT)

CREATE_SCHEDULE = Rpc("orchestrator.v1.schedules.create", CreateSchedule, Schedule, refusals=_CREATED)
LIST_SCHEDULES = Rpc("orchestrator.v1.schedules.list", ListSchedules, SchedulePage, refusals=_UNKNOWN)
GET_SCHEDULE = Rpc("orchestrator.v1.schedules.get", GetSchedule, Schedule, refusals=_UNKNOWN)
UPDATE_SCHEDULE = Rpc("orchestrator.v1.schedules.update", UpdateSchedule, Schedule, refusals=_CHANGED)
DELETE_SCHEDULE = Rpc("orchestrator.v1.schedules.delete", GetSchedule, ScheduleDeleted, refusals=_OWNED)

CREATE_WEBHOOK = Rpc("orchestrator.v1.webhooks.create", CreateWebhook, CreatedWebhook, refusals=_CREATED)
LIST_WEBHOOKS = Rpc("orchestrator.v1.webhooks.list", ListWebhooks, WebhookPage, refusals=_UNKNOWN)
GET_WEBHOOK = Rpc("orchestrator.v1.webhooks.get", GetWebhook, Webhook, refusals=_UNKNOWN)
UPDATE_WEBHOOK = Rpc("orchestrator.v1.webhooks.update", UpdateWebhook, Webhook, refusals=_OWNED)
DELETE_WEBHOOK = Rpc("orchestrator.v1.webhooks.delete", GetWebhook, WebhookDeleted, refusals=_OWNED)
OPEN_WEBHOOK = Rpc("orchestrator.v1.webhooks.open", OpenWebhook, OpenedWebhook, refusals=_UNKNOWN)
DELIVER_WEBHOOK = Rpc("orchestrator.v1.webhooks.deliver", DeliverWebhook, ExecutionStarted, refusals=_CREATED)
