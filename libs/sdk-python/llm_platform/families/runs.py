"""Runs of workflows: watched, steered, repeated, compared (document C and beyond)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Request, Steps, mapped
from llm_platform.core.following import follow
from llm_platform.core.requests import at, read
from llm_platform.core.waiting import wait_for
from llm_platform.schemas import answers, requests

_BASE = "/api/runs"
_GOES_ON = ("running", "paused")


class Runs(Family[R]):
    """`client.runs`"""

    @operation
    def list(
        self, *, limit: int | None = None, **filters: Unpack[requests.RunsQuery]
    ) -> Steps[list[answers.WorkflowRun]]:
        """Runs, newest first; 50 without a limit."""
        return self._get(_BASE, list[answers.WorkflowRun], limit=limit, **filters)

    @operation
    def get(self, run_id: int) -> Steps[answers.WorkflowRunWithInputs]:
        """One run."""
        return self._get(at(_BASE, run_id), answers.WorkflowRunWithInputs)

    @operation
    def status(self, run_id: int) -> Steps[answers.RunWithResponses]:
        """One run, with its responses."""
        return self._get(at("/api/execute/run", run_id), answers.RunWithResponses)

    @operation
    def responses(self, run_id: int) -> Steps[answers.ResponseArray]:
        """What was answered in a run."""
        return self._get(at(_BASE, run_id, "responses"), answers.ResponseArray)

    @flow
    def items(
        self, run_id: int, *, limit: int | None = None, **filters: Unpack[requests.RunsItemsQuery]
    ) -> Flow[answers.RunItem]:
        """What became of the single items of its payloads' `for_each`."""
        return self._pages(at(_BASE, run_id, "items"), answers.RunItemPage, lambda page: page.items, limit, **filters)

    @operation
    def wait(self, run_id: int, *, timeout: float = 600.0, every: float = 0.5) -> Steps[answers.RunWithResponses]:
        """The run once it has ended, however it did. Raises `TimedOut` after `timeout` seconds."""
        path = at("/api/execute/run", run_id)
        return wait_for(
            lambda: self._get(path, answers.RunWithResponses),
            lambda run: run.status not in _GOES_ON,
            f"Run {run_id}",
            every=every,
            timeout=timeout,
        )

    @flow
    def follow(self, run_id: int, *, after: int | None = None) -> Flow[answers.RunEvent]:
        """What a run tells, to its end, over any number of connections. `after` is the id of the last event seen."""
        request = Request("GET", at(_BASE, run_id, "events"))
        events = follow(request, self._runner.retries, None if after is None else str(after))
        return mapped(events, lambda event: [read(event.data, answers.RunEvent)])

    @operation
    def delete(self, run_id: int) -> Steps[answers.RunDeleted]:
        """Deletes a run and its responses; one that goes on is stopped."""
        return self._delete(at(_BASE, run_id), answers.RunDeleted)

    @operation
    def cancel(self, run_id: int) -> Steps[answers.WorkflowRun]:
        """Ends a run at once."""
        return self._post(at(_BASE, run_id, "cancel"), answers.WorkflowRun)

    @operation
    def pause(self, run_id: int) -> Steps[answers.WorkflowRun]:
        """Lets nothing more be asked until the run is resumed."""
        return self._post(at(_BASE, run_id, "pause"), answers.WorkflowRun)

    @operation
    def resume(self, run_id: int) -> Steps[answers.WorkflowRun]:
        """Lets a paused run go on."""
        return self._post(at(_BASE, run_id, "resume"), answers.WorkflowRun)

    @operation
    def approve(self, run_id: int, **fields: Unpack[requests.AnswerApproval]) -> Steps[answers.WorkflowRun]:
        """Lets a payload go on that waits for a person."""
        return self._post(at(_BASE, run_id, "approve"), answers.WorkflowRun, fields)

    @operation
    def reject(self, run_id: int, **fields: Unpack[requests.RejectPayload]) -> Steps[answers.WorkflowRun]:
        """Rejects a payload that waits for a person: the run fails with it."""
        return self._post(at(_BASE, run_id, "reject"), answers.WorkflowRun, fields)

    @operation
    def rerun(self, run_id: int, **fields: Unpack[requests.RerunWorkflow]) -> Steps[answers.ExecutionStarted]:
        """Starts a run that repeats this one from where it failed, or from `from_payload`."""
        return self._post(at(_BASE, run_id, "rerun"), answers.ExecutionStarted, fields, once=True)

    @operation
    def fork(self, run_id: int, **fields: Unpack[requests.ForkWorkflow]) -> Steps[answers.ExecutionStarted]:
        """Starts a run of what this one pinned, with other inputs."""
        return self._post(at(_BASE, run_id, "fork"), answers.ExecutionStarted, fields, once=True)

    @operation
    def compare(self, run_id: int, other_id: int) -> Steps[answers.Comparison]:
        """Two runs side by side."""
        return self._get(at(_BASE, run_id, "compare", other_id), answers.Comparison)
