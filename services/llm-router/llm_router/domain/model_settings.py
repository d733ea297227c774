"""What an administrator has said about a model, by the name it is asked by."""

from dataclasses import dataclass

from contracts.base import RefusalCode, Refused
from contracts.router import Prices


@dataclass(frozen=True)
class ModelSettings:
    """`fallbacks` are asked in this order when the model cannot answer. None leaves the rest to what is known."""

    enabled: bool = True
    prices: Prices | None = None
    fallbacks: tuple[str, ...] = ()
    context_size: int | None = None
    capabilities: tuple[str, ...] | None = None


def checked(name: str, settings: ModelSettings) -> ModelSettings:
    """Raises `Refused(INVALID)` for a model that is to fall back on itself or on one twice."""
    if name in settings.fallbacks or len(set(settings.fallbacks)) < len(settings.fallbacks):
        message = "fallbacks must be other models, each once"
        raise Refused(RefusalCode.INVALID, message, {"errors": [{"field": "fallbacks", "message": message}]})
    return settings
