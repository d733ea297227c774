"""Pipeline jobs (document E)."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ConfigDict, PrivateAttr

from llm_platform.core.binding import Bound, Family, R, flow, looked_up, operation
from llm_platform.core.effects import Flow, Sleep, Steps
from llm_platform.core.requests import at
from llm_platform.errors import JobFailed, NotThereYet, TimedOut
from llm_platform.schemas import answers, requests

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


class Jobs(Family[R]):
    """`client.jobs`"""

    @operation
    def create(self, job: requests.SubmitJob | Mapping[str, Any]) -> Steps[SubmittedJob[R]]:
        """Submits a pipeline."""
        accepted = yield from self._post(_BASE, answers.JobAccepted, job, once=True)
        submitted = cast(SubmittedJob[R], SubmittedJob.model_construct(accepted.model_fields_set, **accepted.__dict__))
        submitted._runner = self._runner
        return submitted

    @flow
    def list(self, *, status: str | None = None, limit: int | None = None) -> Flow[answers.Job]:
        """Jobs, newest first."""
        return self._pages(_BASE, answers.JobPage, lambda page: page.items, limit, status=status)

    @operation
    def get(self, job_id: str) -> Steps[answers.Job]:
        """One job: its progress, and what came of it."""
        return _job(self, job_id)

    @operation
    def cancel(self, job_id: str) -> Steps[answers.JobCancelled]:
        """Cancels a job."""
        return self._delete(at(_BASE, job_id), answers.JobCancelled)

    @operation
    def wait(self, job_id: str, *, timeout: float | None = None, every: float = 2.0) -> Steps[answers.Job]:
        """The job once it has completed. Raises `JobFailed` if it ends otherwise, `TimedOut` in the end.

        It is looked at `every` so many seconds.
        """
        return wait(self, job_id, timeout, every)


def wait(bound: Bound[R], job_id: str, timeout: float | None, every: float) -> Steps[answers.Job]:
    waited = 0.0
    while True:
        job = yield from _job(bound, job_id)
        if job.status == "completed":
            return job
        if job.status not in _GOES_ON:
            raise _failed(job)
        if timeout is not None and waited >= timeout:
            raise TimedOut(f"{job_id} is still {job.status}")
        yield from Sleep(every)
        waited += every


def _job(bound: Bound[R], job_id: str) -> Steps[answers.Job]:
    return bound._get(at(_BASE, job_id), answers.Job)


def _failed(job: answers.Job) -> JobFailed:
    if job.status == "completed":
        return JobFailed(f"{job.job_id} has completed without making a model")
    reason = "" if job.error is None else f": {job.error.message}"
    return JobFailed(f"{job.job_id} is {job.status}{reason}")
