"""Pipeline jobs (document E)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack, cast
from urllib.parse import quote

from pydantic import ConfigDict, PrivateAttr

from llm_platform.core.binding import Bound, Family, R, flow, looked_up, operation
from llm_platform.core.effects import Do, Flow, Request, Steps, mapped
from llm_platform.core.following import watch
from llm_platform.core.requests import at
from llm_platform.core.transfers import FileName, Progress, fetch
from llm_platform.core.waiting import wait_for
from llm_platform.errors import JobFailed, NotThereYet
from llm_platform.schemas import answers, requests
from llm_platform.schemas.record import Record

Templates = list[answers.JobTemplate]

_BASE = "/api/v1/jobs"
_GOES_ON = ("pending", "running", "paused")


class SubmittedJob(answers.JobAccepted, Bound[R]):
    """A job as it was when it was submitted; `refresh` says how it is now."""

    model_config = ConfigDict(ignored_types=(operation, looked_up))
    _runner: R = PrivateAttr()

    @looked_up
    def model_id(self) -> Steps[str]:
        """The id of the model that it made. Raises `NotThereYet` while there may still be one, `JobFailed` after."""
        job = yield from _job(self, self.job_id)
        if job.model_id is not None:
            return job.model_id
        if job.status in _GOES_ON:
            raise NotThereYet(f"{job.job_id} is {job.status}: its model is known once it is registered")
        raise _failed(job)

    @operation
    def refresh(self) -> Steps[answers.Job]:
        """The job as it is now."""
        return _job(self, self.job_id)

    @operation
    def wait(self, *, timeout: float | None = None, every: float = 2.0) -> Steps[answers.Job]:
        """See `client.jobs.wait`."""
        return wait(self, self.job_id, timeout, every)

    @operation
    def cancel(self) -> Steps[answers.JobCancelled]:
        """Cancels it."""
        return self._delete(at(_BASE, self.job_id), answers.JobCancelled)

    @operation
    def delete(self) -> Steps[answers.JobDeleted]:
        """See `client.jobs.delete`."""
        return self._delete(at(_BASE, self.job_id), answers.JobDeleted, purge=True)


class JobMessage(Record):
    """`log`, `metric` and `steering` have an `id` to go on from; `progress` and `end` have none."""

    type: str
    data: dict[str, Any]
    id: int | None = None


class Jobs(Family[R]):
    """`client.jobs`"""

    @operation
    def create(self, job: requests.SubmitJob | Mapping[str, Any]) -> Steps[SubmittedJob[R]]:
        """Submits a pipeline."""
        accepted = yield from self._post(_BASE, answers.JobAccepted, job, once=True)
        return _submitted(accepted, self._runner)

    @flow
    def list(self, *, limit: int | None = None, **filters: Unpack[requests.JobsQuery]) -> Flow[answers.Job]:
        """Jobs, newest first, without their results."""
        return self._pages(_BASE, answers.JobPage, lambda page: page.items, limit, **filters)

    @operation
    def templates(self) -> Steps[Templates]:
        """The usual jobs, which need not be written out."""
        return (yield from self._get("/api/v1/job-templates", answers.JobTemplates)).templates

    @operation
    def get(self, job_id: str) -> Steps[answers.Job]:
        """One job: its progress, and what came of it."""
        return _job(self, job_id)

    @operation
    def cancel(self, job_id: str) -> Steps[answers.JobCancelled]:
        """Cancels a job."""
        return self._delete(at(_BASE, job_id), answers.JobCancelled)

    @operation
    def delete(self, job_id: str) -> Steps[answers.JobDeleted]:
        """Deletes a job that has ended, with its log and all that only it needs; models and other jobs keep theirs."""
        return self._delete(at(_BASE, job_id), answers.JobDeleted, purge=True)

    @operation
    def pause(self, job_id: str) -> Steps[answers.Job]:
        """Pauses a job: what trains keeps a checkpoint and stops."""
        return self._post(at(_BASE, job_id, "pause"), answers.Job)

    @operation
    def resume(self, job_id: str) -> Steps[answers.Job]:
        """Lets a paused job go on."""
        return self._post(at(_BASE, job_id, "resume"), answers.Job)

    @operation
    def adjust(self, job_id: str, **fields: Unpack[requests.AdjustJob]) -> Steps[answers.AdjustmentAccepted]:
        """Changes the learning rate of a job that trains."""
        return self._post(at(_BASE, job_id, "adjust"), answers.AdjustmentAccepted, fields)

    @operation
    def retry(self, job_id: str, **fields: Unpack[requests.RetryJob]) -> Steps[SubmittedJob[R]]:
        """Makes a new job that goes on from where this one ended."""
        accepted = yield from self._post(at(_BASE, job_id, "retry"), answers.JobAccepted, fields, once=True)
        return _submitted(accepted, self._runner)

    @flow
    def artifacts(self, job_id: str, *, limit: int | None = None) -> Flow[answers.Artifact]:
        """The files that its agents made."""
        return self._pages(at(_BASE, job_id, "artifacts"), answers.ArtifactPage, lambda page: page.items, limit)

    @operation
    def download_artifact(
        self, job_id: str, name: str, path: FileName, *, progress: Progress | None = None
    ) -> Steps[Path]:
        """Downloads one of them into the file `path`. A connection that breaks is taken up where it was."""
        target = Path(path)
        request = Request("GET", at(_BASE, job_id, "artifacts") + "/" + quote(name))
        fetched = yield from fetch(request, target.parent, self._runner.retries, progress)
        return (yield from Do(lambda: fetched.path.replace(target)))

    @flow
    def watch(self, job_id: str, *, after: int | None = None) -> Flow[JobMessage]:
        """What is told of a job over the WebSocket, to its end: its log, its progress, and who steers it."""
        messages = watch(at("/ws/jobs", job_id), {}, self._runner.retries, after)
        return mapped(messages, lambda told: [JobMessage.model_validate(told)])

    @operation
    def wait(self, job_id: str, *, timeout: float | None = None, every: float = 2.0) -> Steps[answers.Job]:
        """The job once it has completed. Raises `JobFailed` if it ends otherwise, `TimedOut` in the end.

        It is looked at `every` so many seconds.
        """
        return wait(self, job_id, timeout, every)


def wait(bound: Bound[R], job_id: str, timeout: float | None, every: float) -> Steps[answers.Job]:
    job = yield from wait_for(
        lambda: _job(bound, job_id), lambda job: job.status not in _GOES_ON, job_id, every=every, timeout=timeout
    )
    if job.status != "completed":
        raise _failed(job)
    return job


def _submitted(accepted: answers.JobAccepted, runner: R) -> SubmittedJob[R]:
    submitted = cast(SubmittedJob[R], SubmittedJob.model_construct(accepted.model_fields_set, **accepted.__dict__))
    submitted._runner = runner
    return submitted


def _job(bound: Bound[R], job_id: str) -> Steps[answers.Job]:
    return bound._get(at(_BASE, job_id), answers.Job)


def _failed(job: answers.Job) -> JobFailed:
    if job.status == "completed":
        return JobFailed(f"{job.job_id} has completed without making a model")
    reason = "" if job.error is None else f": {job.error.message}"
    return JobFailed(f"{job.job_id} is {job.status}{reason}")
