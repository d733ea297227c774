"""What the registry knows of trained models."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from common.bus import Bus
from contracts.base import RefusalCode, Refused
from contracts.registry import GET_MODEL, LIST_MODELS, GetModel, ListModels, ModelRegistered
from llm_router.domain.catalogue import TrainedModel

_PAGE = 100
_PATIENCE = 0.5
_TIMEOUT = 3.0


class TrainedModels:
    """Asks the registry for models that can be served as adapters."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def find(self, name_or_id: str) -> TrainedModel | None:
        """A model by id, or the newest of a name; None when there is none or it has no adapter.

        Raises `Refused(UNAVAILABLE | TIMEOUT)` when the registry does not answer.
        """
        try:
            model = await self._bus.ask(GET_MODEL, GetModel(model_id=name_or_id), timeout=_TIMEOUT, patience=_PATIENCE)
        except Refused as refused:
            if refused.code in (RefusalCode.NOT_FOUND, RefusalCode.INVALID):
                return None
            raise
        adapter = model.exports.get("adapter")
        if adapter is None:
            return None
        return TrainedModel(
            model.model_id, model.model_name, model.base_model, model.created_at, adapter, model.chat_template
        )

    async def all(self) -> AsyncIterator[TrainedModel]:
        """Every model with an adapter, without the place of its files. Raises `Refused` as `find` does."""
        offset = 0
        while True:
            page = await self._bus.ask(LIST_MODELS, ListModels(limit=_PAGE, offset=offset))
            for model in page.models:
                if "adapter" in model.exports:
                    yield TrainedModel(model.model_id, model.model_name, model.base_model, model.created_at)
            if not page.has_more:
                return
            offset += _PAGE


def registered(event: ModelRegistered) -> TrainedModel | None:
    """The model that an event tells of, or None when it has no adapter."""
    adapter = event.exports.get("adapter")
    if adapter is None:
        return None
    return TrainedModel(
        event.model_id, event.model_name, event.base_model, datetime.now(UTC), adapter, event.chat_template
    )
