"""Tasks, which are answered or planned, and who does them how (document D)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.core.waiting import wait_for
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/tasks"
_GOES_ON = ("Planned", "Processing")


class Tasks(Family[R]):
    """`client.tasks`"""

    @operation
    def create(self, **fields: Unpack[requests.CreateTask]) -> Steps[answers.Task]:
        """Does what a prompt asks: at once, or by a plan that is carried out in the background."""
        return self._post(_BASE, answers.Task, fields, once=True)

    @flow
    def list(self, *, limit: int | None = None, **filters: Unpack[requests.TasksQuery]) -> Flow[answers.TaskSummary]:
        """Tasks, newest first."""
        return self._pages(_BASE, answers.TaskPage, lambda page: page.items, limit, **filters)

    @operation
    def get(self, task_id: str) -> Steps[answers.Task]:
        """One task, with its analysis and its plan."""
        return self._get(at(_BASE, task_id), answers.Task)

    @operation
    def cancel(self, task_id: str) -> Steps[answers.Task]:
        """Stops a planned task."""
        return self._delete(at(_BASE, task_id), answers.Task)

    @operation
    def wait(self, task_id: str, *, timeout: float = 600.0, every: float = 0.5) -> Steps[answers.Task]:
        """The task once it has ended, however it did. Raises `TimedOut` after `timeout` seconds."""
        path = at(_BASE, task_id)
        return wait_for(
            lambda: self._get(path, answers.Task),
            lambda task: task.status not in _GOES_ON,
            f"Task {task_id}",
            every=every,
            timeout=timeout,
        )


class Personas(Family[R]):
    """`client.profiles` says how tasks are done, `client.roles` who does them: system prompts by their names."""

    _base: str

    @flow
    def list(self, *, limit: int | None = None) -> Flow[answers.Persona]:
        """All of them."""
        return self._pages(self._base, answers.PersonaPage, lambda page: page.items, limit)

    @operation
    def get(self, name: str) -> Steps[answers.Persona]:
        """One of them."""
        return self._get(at(self._base, name), answers.Persona)

    @operation
    def put(self, name: str, **fields: Unpack[requests.PutPersona]) -> Steps[answers.Persona]:
        """Makes or replaces one."""
        return self._put(at(self._base, name), answers.Persona, fields)

    @operation
    def delete(self, name: str) -> Steps[answers.Persona]:
        """Deletes one."""
        return self._delete(at(self._base, name), answers.Persona)


class Profiles(Personas[R]):
    """`client.profiles`: how tasks are done."""

    _base = "/api/v1/profiles"


class Roles(Personas[R]):
    """`client.roles`: who does tasks."""

    _base = "/api/v1/roles"
