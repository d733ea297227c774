"""What the orchestrator answers, one module per noun; all of them together are `HANDLERS`."""

from orchestrator.deps import HANDLERS, Deps
from orchestrator.handlers import jobs, logs, steps

__all__ = ["HANDLERS", "Deps", "jobs", "logs", "steps"]
