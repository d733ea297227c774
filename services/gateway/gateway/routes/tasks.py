"""Rows of document D: tasks, and the profiles and roles that they are done under."""

from contracts import tasks
from gateway.routes.table import Tag, asks

TASKS = (
    asks(
        "POST",
        "/api/v1/tasks",
        tasks.CREATE_TASK,
        tag=Tag.TASKS,
        summary="Create a task",
        description=(
            "The prompt decides: one that a single answer will do for is answered (`Completed`, or `Failed` with an"
            " `error`); one that asks for several steps gets a plan (`Planned`) that is carried out in the background."
            " `details.analysis` says why."
        ),
        example={"prompt": "What is the capital of France?", "profile": "General", "role": "Chat-Agent"},
    ),
    asks("GET", "/api/v1/tasks", tasks.LIST_TASKS, tag=Tag.TASKS, summary="List tasks"),
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
)
