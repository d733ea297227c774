"""Rows of document D: tasks, the profiles and roles that they are done under, and the server's metrics."""

from typing import Literal

from pydantic import Field

from contracts import tasks
from contracts.base import Message
from gateway.routes.table import Route, Special, Tag, asks


class GetServerMetrics(Message):
    """`window` in seconds: how far back rates and averages look."""

    window: float = Field(default=300, ge=1, le=86_400)


class ServerMetrics(Message):
    """Document D's metrics. The server is offline when no engine can be asked.

    `tokens_per_second`, `average_response_time` (seconds) and `success_rate` (percent of the tasks that ended) are of
    the window and null when nothing happened in it. `total_requests` counts all completions of any route,
    `api_costs` is what they cost in USD, null when no price is known. `active_tasks` are being worked on,
    `queue_length` have not begun.
    """

    server_status: Literal["online", "offline"]
    llm_status: dict[str, str]
    tokens_per_second: float | None
    average_response_time: float | None
    total_requests: int
    active_tasks: int
    queue_length: int
    success_rate: float | None
    api_costs: float | None


TASKS = (
    asks(
        "POST",
        "/api/v1/tasks",
        tasks.CREATE_TASK,
        tag=Tag.TASKS,
        summary="Create a task",
        once=True,
        description=(
            "The prompt decides: one that a single answer will do for is answered (`Completed`, or `Failed` with an"
            " `error`); one that asks for several steps gets a plan (`Planned`) that is carried out in the background."
            " `details.analysis` says why."
        ),
        example={"prompt": "What is the capital of France?", "profile": "General", "role": "Chat-Agent"},
    ),
    asks(
        "GET",
        "/api/v1/tasks",
        tasks.LIST_TASKS,
        tag=Tag.TASKS,
        summary="List tasks",
        description="The caller's own, newest first; an admin sees all.",
    ),
    asks("GET", "/api/v1/tasks/{task_id}", tasks.GET_TASK, tag=Tag.TASKS, summary="Get a task, its plan and result"),
    asks("DELETE", "/api/v1/tasks/{task_id}", tasks.CANCEL_TASK, tag=Tag.TASKS, summary="Cancel a task"),
    asks("GET", "/api/v1/profiles", tasks.LIST_PROFILES, tag=Tag.TASKS, summary="List profiles"),
    asks("GET", "/api/v1/profiles/{name}", tasks.GET_PROFILE, tag=Tag.TASKS, summary="Get a profile"),
    asks(
        "PUT",
        "/api/v1/profiles/{name}",
        tasks.PUT_PROFILE,
        tag=Tag.TASKS,
        summary="Make or change a profile",
        description="Its system prompt says how tasks are done. A task that has started keeps the one it started with.",
    ),
    asks("DELETE", "/api/v1/profiles/{name}", tasks.DELETE_PROFILE, tag=Tag.TASKS, summary="Delete a profile"),
    asks("GET", "/api/v1/roles", tasks.LIST_ROLES, tag=Tag.TASKS, summary="List roles"),
    asks("GET", "/api/v1/roles/{name}", tasks.GET_ROLE, tag=Tag.TASKS, summary="Get a role"),
    asks(
        "PUT",
        "/api/v1/roles/{name}",
        tasks.PUT_ROLE,
        tag=Tag.TASKS,
        summary="Make or change a role",
        description="Its system prompt says who answers. A task that has started keeps the one it started with.",
    ),
    asks("DELETE", "/api/v1/roles/{name}", tasks.DELETE_ROLE, tag=Tag.TASKS, summary="Delete a role"),
    Route(
        method="GET",
        path="/api/v1/metrics",
        tag=Tag.TASKS,
        summary="Get the server's metrics",
        description="Over all replicas. Rates and averages are of the last `window` seconds.",
        role="viewer",
        request=GetServerMetrics,
        response=ServerMetrics,
        special=Special.SERVER_METRICS,
    ),
)
