"""Tasks as they are remembered, and as their callers see them (document D)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepStatus
from contracts.tasks import Task, TaskAnalysis, TaskDetails, TaskSignal, TaskStatus, TaskStep, TaskSummary
from orchestrator.domain.tasks.analysis import THRESHOLD, Analysis

KIND = "task"
"""The kind of run that carries out the plan of a task."""
_TASK_ID = re.compile(r"task_([A-Za-z0-9][A-Za-z0-9_-]{0,63})")
_SUMMARY_CHARACTERS = 200


@dataclass(frozen=True)
class NewTask:
    """A task to be entered. `owner` is the id of the principal, empty where there is none."""

    task_id: str
    owner: str
    idempotency_key: str | None
    prompt: str
    profile: str
    role: str
    analysis: dict[str, Any]

    @property
    def run_id(self) -> str:
        return run_id_of(self.task_id)


@dataclass(frozen=True)
class TaskStepRecord:
    """A step of a task's plan. `needs` are the positions of the steps right before it."""

    name: str
    instruction: str
    needs: Sequence[int]
    status: StepStatus
    attempt: int
    result: str | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class TaskRecord:
    """A task with the `steps` of its plan, none where it is answered directly."""

    task_id: str
    owner: str
    prompt: str
    profile: str
    role: str
    analysis: Mapping[str, Any]
    status: TaskStatus
    result: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps: tuple[TaskStepRecord, ...] = ()


def task_id_of(run_id: str) -> str:
    return f"task_{run_id}"


def run_id_of(task_id: str) -> str:
    """Raises `Refused(NOT_FOUND)` for an id that no task can have."""
    if (match := _TASK_ID.fullmatch(task_id)) is None:
        raise no_such_task(task_id)
    return match[1]


def no_such_task(task_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "There is no such task", {"task_id": task_id})


def already_ended(record: TaskRecord) -> Refused:
    status = record.status.lower()
    return Refused(RefusalCode.CONFLICT, f"The task has {status} already", {"status": record.status})


def check_same(record: TaskRecord, new: NewTask) -> None:
    """Raises `Refused(CONFLICT)` unless `record`, of the same key, is what is asked for again."""
    if (record.prompt, record.profile, record.role) != (new.prompt, new.profile, new.role):
        message = "This idempotency key has been used for another task"
        raise Refused(RefusalCode.CONFLICT, message, {"idempotency_key": new.idempotency_key})


def told(analysis: Analysis) -> TaskAnalysis:
    return TaskAnalysis(
        decision=analysis.decision,
        score=analysis.score,
        threshold=THRESHOLD,
        signals=[
            TaskSignal(name=signal.name, weight=signal.weight, evidence=list(signal.evidence))
            for signal in analysis.signals
        ],
    )


def task(record: TaskRecord) -> Task:
    return Task(
        task_id=record.task_id,
        status=record.status,
        result=record.result,
        error=record.error,
        details=TaskDetails(
            profile=record.profile,
            role=record.role,
            analysis=TaskAnalysis.model_validate(record.analysis),
            plan=[_step(step, record.steps) for step in record.steps],
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
        ),
    )


def summary(record: TaskRecord) -> TaskSummary:
    prompt = record.prompt
    return TaskSummary(
        task_id=record.task_id,
        status=record.status,
        error=record.error,
        prompt=prompt if len(prompt) <= _SUMMARY_CHARACTERS else prompt[: _SUMMARY_CHARACTERS - 1] + "…",
        profile=record.profile,
        role=record.role,
        created_at=record.created_at,
        finished_at=record.finished_at,
    )


def _step(step: TaskStepRecord, steps: Sequence[TaskStepRecord]) -> TaskStep:
    return TaskStep(
        name=step.name,
        instruction=step.instruction,
        needs=[steps[position].name for position in step.needs],
        status=step.status,
        attempt=step.attempt,
        result=step.result,
        error=step.error,
        started_at=step.started_at,
        finished_at=step.finished_at,
    )
