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
    steps,
    tasks,
    templates,
    watching,
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
    "steps",
    "tasks",
    "templates",
    "watching",
    "workflow_runs",
    "workflows",
]
