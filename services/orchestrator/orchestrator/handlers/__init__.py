"""What the orchestrator answers, one module per noun; all of them together are `HANDLERS`."""

from orchestrator.deps import HANDLERS, Deps
from orchestrator.handlers import actions, content, jobs, logs, personas, posts, prompts, steps, tasks, templates

__all__ = [
    "HANDLERS",
    "Deps",
    "actions",
    "content",
    "jobs",
    "logs",
    "personas",
    "posts",
    "prompts",
    "steps",
    "tasks",
    "templates",
]
