"""What the orchestrator answers, one module per noun; all of them together are `HANDLERS`."""

from orchestrator.deps import HANDLERS, Deps
from orchestrator.handlers import (
    actions,
    blocks,
    content,
    jobs,
    logs,
    payloads,
    personas,
    posts,
    prompts,
    schedules,
    steps,
    tasks,
    templates,
    watching,
    webhooks,
    workflow_runs,
    workflows,
)

__all__ = [
    "HANDLERS",
    "Deps",
    "actions",
    "blocks",
    "content",
    "jobs",
    "logs",
    "payloads",
    "personas",
    "posts",
    "prompts",
    "schedules",
    "steps",
    "tasks",
    "templates",
    "watching",
    "webhooks",
    "workflow_runs",
    "workflows",
]
