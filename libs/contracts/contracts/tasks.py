"""Tasks, and the system prompts that they are done under (document D). The orchestrator answers all of it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.orchestrator import StepStatus
from contracts.pages import Page, PageRequest

TaskStatus = Literal["Planned", "Processing", "Completed", "Failed", "Cancelled"]
DEFAULT_PROFILE = "General"
DEFAULT_ROLE = "Chat-Agent"

PersonaName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 _.-]*[A-Za-z0-9])?$")
]

# Tasks


class CreateTask(Message):
    """What is to be done, and under which system prompts: the role says who answers, the profile how."""

    prompt: Annotated[str, StringConstraints(pattern=r"\S")] = Field(min_length=1, max_length=200_000)
    profile: str = Field(default=DEFAULT_PROFILE, max_length=64)
    role: str = Field(default=DEFAULT_ROLE, max_length=64)


class TaskSignal(Message):
    """Something about the prompt that spoke for a plan (positive `weight`) or against one, and where it was seen."""

    name: str
    weight: float
    evidence: list[str]


class TaskAnalysis(Message):
    """How it was decided whether one answer will do: a plan is made when `score` reaches `threshold`."""

    decision: Literal["direct", "plan"]
    score: float
    threshold: float
    signals: list[TaskSignal]


class TaskStep(Message):
    """A step of a task's plan. `needs` names the steps right before it; it sees the results of all that came before."""

    name: str
    instruction: str
    needs: list[str]
    status: StepStatus
    attempt: int
    result: str | None
    error: str | None
    started_at: Timestamp | None
    finished_at: Timestamp | None


class TaskDetails(Message):
    """What document D's four fields do not say. `plan` is empty where the prompt was answered directly."""

    profile: str
    role: str
    analysis: TaskAnalysis
    plan: list[TaskStep]
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class Task(Message):
    """Document D's answer, and `details` besides."""

    task_id: str
    status: TaskStatus
    result: str | None
    error: str | None
    details: TaskDetails


class GetTask(Message):
    task_id: str


class ListTasks(PageRequest):
    status: TaskStatus | None = None


class TaskSummary(Message):
    """A task in a list: its results are left to `GET`, and its prompt is cut to its beginning."""

    task_id: str
    status: TaskStatus
    error: str | None
    prompt: str
    profile: str
    role: str
    created_at: Timestamp
    finished_at: Timestamp | None


class TaskPage(Page[TaskSummary]):
    """Tasks, newest first."""


CREATE_TASK = Rpc(
    "orchestrator.v1.tasks.create",
    CreateTask,
    Task,
    refusals=(RefusalCode.INVALID, RefusalCode.CONFLICT, RefusalCode.NOT_FOUND),
    timeout=600.0,
)
GET_TASK = Rpc("orchestrator.v1.tasks.get", GetTask, Task, refusals=(RefusalCode.NOT_FOUND,))
LIST_TASKS = Rpc("orchestrator.v1.tasks.list", ListTasks, TaskPage)
CANCEL_TASK = Rpc("orchestrator.v1.tasks.cancel", GetTask, Task, refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT))


class CountTasks(Message):
    """`window` in seconds."""

    window: float = Field(default=300, gt=0, le=86_400)


class TaskCounts(Message):
    """Tasks being worked on (`active`) and not yet begun (`waiting`) now, and those that ended within the window."""

    active: int
    waiting: int
    completed: int
    failed: int


COUNT_TASKS = Rpc("orchestrator.v1.tasks.count", CountTasks, TaskCounts)


class TaskEnded(EventBody):
    """A planned task reached a state that never changes again."""

    task_id: str
    status: TaskStatus


TASK_ENDED = Event("events.orchestrator.task.ended", TaskEnded, stream="EVENTS")

# Profiles and roles


class NamedPersona(Message):
    name: str


class ListPersonas(PageRequest):
    """Profiles or roles, by name."""


class PutPersona(Message):
    """Makes or replaces one. A task that has started keeps the prompt that it started with."""

    name: PersonaName
    system_prompt: str = Field(max_length=20_000)
    description: str = Field(default="", max_length=500)


class Persona(Message):
    """A named system prompt, be it a profile or a role."""

    name: str
    system_prompt: str
    description: str
    created_at: Timestamp
    updated_at: Timestamp


class PersonaPage(Page[Persona]):
    """By name."""


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_KEPT = (RefusalCode.NOT_FOUND, RefusalCode.CONFLICT)

LIST_PROFILES = Rpc("orchestrator.v1.profiles.list", ListPersonas, PersonaPage)
GET_PROFILE = Rpc("orchestrator.v1.profiles.get", NamedPersona, Persona, refusals=_UNKNOWN)
PUT_PROFILE = Rpc("orchestrator.v1.profiles.put", PutPersona, Persona)
DELETE_PROFILE = Rpc("orchestrator.v1.profiles.delete", NamedPersona, Persona, refusals=_KEPT)

LIST_ROLES = Rpc("orchestrator.v1.roles.list", ListPersonas, PersonaPage)
GET_ROLE = Rpc("orchestrator.v1.roles.get", NamedPersona, Persona, refusals=_UNKNOWN)
PUT_ROLE = Rpc("orchestrator.v1.roles.put", PutPersona, Persona)
DELETE_ROLE = Rpc("orchestrator.v1.roles.delete", NamedPersona, Persona, refusals=_KEPT)
