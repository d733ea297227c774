"""What the registry answers, one module per noun; all of them together are `HANDLERS`."""

from registry.handlers import datasets, descriptions, models, runs, serving
from registry.handlers.deps import HANDLERS, Deps

__all__ = ["HANDLERS", "Deps", "datasets", "descriptions", "models", "runs", "serving"]
