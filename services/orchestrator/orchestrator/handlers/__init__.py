"""What the orchestrator answers, one module per noun; all of them together are `HANDLERS`."""

from orchestrator.deps import HANDLERS, Deps
from orchestrator.handlers import jobs, logs, personas, steps, tasks

__all__ = ["HANDLERS", "Deps", "jobs", "logs", "personas", "steps", "tasks"]
