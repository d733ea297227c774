"""Workflows: payloads in a chain or a graph, and what starts them by itself (document C and beyond)."""

from collections.abc import Mapping
from typing import Any, Unpack, cast

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/workflows"
_EXECUTE = "/api/execute/workflow"


class Workflows(Family[R]):
    """`client.workflows`"""

    @operation
    def list(self, **filters: Unpack[requests.WorkflowsQuery]) -> Steps[list[answers.Workflow]]:
        """All workflows, or those whose name holds a text, or that use a payload."""
        return self._get(_BASE, list[answers.Workflow], **filters)

    @operation
    def create(self, **fields: Unpack[requests.CreateWorkflow]) -> Steps[answers.SavedWorkflow]:
        """Makes a workflow of payloads."""
        return self._post(_BASE, answers.SavedWorkflow, fields)

    @operation
    def get(self, workflow_id: int) -> Steps[answers.Workflow]:
        """One workflow, with its payloads."""
        return self._get(at(_BASE, workflow_id), answers.Workflow)

    @operation
    def update(self, workflow_id: int, **fields: Unpack[requests.UpdateWorkflow]) -> Steps[answers.SavedWorkflow]:
        """Changes the given fields, which makes the next version. Runs keep the version they started with."""
        return self._put(at(_BASE, workflow_id), answers.SavedWorkflow, fields)

    @operation
    def delete(self, workflow_id: int) -> Steps[answers.Told]:
        """Deletes a workflow; its payloads and runs stay."""
        return self._delete(at(_BASE, workflow_id), answers.Told)

    @flow
    def versions(self, workflow_id: int, *, limit: int | None = None) -> Flow[answers.WorkflowVersion]:
        """Its versions, newest first."""
        path = at(_BASE, workflow_id, "versions")
        return self._pages(path, answers.WorkflowVersionPage, lambda page: page.items, limit)

    @operation
    def restore(self, workflow_id: int, version: int) -> Steps[answers.SavedWorkflow]:
        """Makes an earlier version the newest."""
        return self._post(at(_BASE, workflow_id, "versions", version, "restore"), answers.SavedWorkflow)

    @operation
    def export(self, workflow_id: int) -> Steps[answers.WorkflowDocument]:
        """The workflow with all that it needs, as one document."""
        return self._get(at(_BASE, workflow_id, "export"), answers.WorkflowDocument)

    @operation
    def import_document(
        self, document: answers.WorkflowDocument | requests.WorkflowDocument
    ) -> Steps[answers.SavedWorkflow]:
        """Makes anew what a document holds, under ids of its own."""
        if isinstance(document, answers.WorkflowDocument):
            document = cast(
                requests.WorkflowDocument, document.model_dump(mode="json", by_alias=True, exclude_none=True)
            )
        return self._post(_BASE + "/import", answers.SavedWorkflow, document)

    @operation
    def execute(self, workflow_id: int, inputs: Mapping[str, Any] | None = None) -> Steps[answers.ExecutionStarted]:
        """Starts a run, and answers at once: `client.runs` has what becomes of it."""
        return self._post(at(_EXECUTE, workflow_id), answers.ExecutionStarted, {"inputs": inputs or {}}, once=True)

    @flow
    def schedules(self, workflow_id: int, *, limit: int | None = None) -> Flow[answers.Schedule]:
        """The schedules that start it."""
        return self._pages(at(_BASE, workflow_id, "schedules"), answers.SchedulePage, lambda page: page.items, limit)

    @operation
    def create_schedule(self, workflow_id: int, **fields: Unpack[requests.CreateSchedule]) -> Steps[answers.Schedule]:
        """Starts runs by cron, in the caller's name."""
        return self._post(at(_BASE, workflow_id, "schedules"), answers.Schedule, fields)

    @operation
    def get_schedule(self, workflow_id: int, schedule_id: int) -> Steps[answers.Schedule]:
        """One schedule."""
        return self._get(at(_BASE, workflow_id, "schedules", schedule_id), answers.Schedule)

    @operation
    def update_schedule(
        self, workflow_id: int, schedule_id: int, **fields: Unpack[requests.UpdateSchedule]
    ) -> Steps[answers.Schedule]:
        """Changes the given fields."""
        return self._put(at(_BASE, workflow_id, "schedules", schedule_id), answers.Schedule, fields)

    @operation
    def delete_schedule(self, workflow_id: int, schedule_id: int) -> Steps[answers.ScheduleDeleted]:
        """Deletes a schedule; its runs stay."""
        return self._delete(at(_BASE, workflow_id, "schedules", schedule_id), answers.ScheduleDeleted)

    @flow
    def webhooks(self, workflow_id: int, *, limit: int | None = None) -> Flow[answers.Webhook]:
        """The webhooks that start it."""
        return self._pages(at(_BASE, workflow_id, "webhooks"), answers.WebhookPage, lambda page: page.items, limit)

    @operation
    def create_webhook(
        self, workflow_id: int, **fields: Unpack[requests.CreateWebhook]
    ) -> Steps[answers.CreatedWebhook]:
        """Lets another system start runs. The answer alone holds its URL, and the secret of a signed one."""
        return self._post(at(_BASE, workflow_id, "webhooks"), answers.CreatedWebhook, fields)

    @operation
    def get_webhook(self, workflow_id: int, webhook_id: int) -> Steps[answers.Webhook]:
        """One webhook."""
        return self._get(at(_BASE, workflow_id, "webhooks", webhook_id), answers.Webhook)

    @operation
    def update_webhook(
        self, workflow_id: int, webhook_id: int, **fields: Unpack[requests.UpdateWebhook]
    ) -> Steps[answers.Webhook]:
        """Renames, disables or enables it."""
        return self._put(at(_BASE, workflow_id, "webhooks", webhook_id), answers.Webhook, fields)

    @operation
    def delete_webhook(self, workflow_id: int, webhook_id: int) -> Steps[answers.WebhookDeleted]:
        """Deletes a webhook; its runs stay."""
        return self._delete(at(_BASE, workflow_id, "webhooks", webhook_id), answers.WebhookDeleted)
