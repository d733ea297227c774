"""What the router answers and listens to, one module per noun; all of them together are `HANDLERS`."""

from llm_router.handlers import chat, configuration, engines, instances, interactions, metrics, model_settings, models
from llm_router.handlers.deps import HANDLERS, Deps

__all__ = [
    "HANDLERS",
    "Deps",
    "chat",
    "configuration",
    "engines",
    "instances",
    "interactions",
    "metrics",
    "model_settings",
    "models",
]
