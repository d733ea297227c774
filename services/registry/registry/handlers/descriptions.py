"""What is shown of models: cards, plots of their training, where they came from, and what sets two apart."""

from contracts.base import RefusalCode, Refused
from contracts.registry import (
    COMPARE_MODELS,
    GET_LINEAGE,
    GET_LOSS_PLOT,
    GET_MODEL_CARD,
    CompareModels,
    Dataset,
    GetModel,
    LineageStep,
    LossPlot,
    Model,
    ModelCard,
    ModelComparison,
    ModelLineage,
)
from registry.domain.cards import card
from registry.domain.comparing import compared
from registry.domain.lineage import lineage_of
from registry.domain.plots import plot
from registry.handlers.deps import HANDLERS, Deps
from registry.handlers.models import found
from registry.store import datasets, models


@HANDLERS.on(GET_MODEL_CARD)
async def get_model_card(deps: Deps, request: GetModel) -> ModelCard:
    model, told, dataset = await origin(deps, request.model_id)
    curve = await deps.curves.of(model)
    markdown = card(model, dataset, curve, lineage_of(model, told, dataset))
    return ModelCard(model_id=model.model_id, markdown=markdown)


@HANDLERS.on(GET_LOSS_PLOT)
async def get_loss_plot(deps: Deps, request: GetModel) -> LossPlot:
    model, _, _ = await origin(deps, request.model_id)
    curve = await deps.curves.of(model)
    if not curve:
        raise Refused(RefusalCode.NOT_FOUND, f"No losses were recorded of the training of {model.model_id}")
    return LossPlot(model_id=model.model_id, svg=plot(curve, f"{model.model_name}@{model.version}"))


@HANDLERS.on(GET_LINEAGE)
async def get_lineage(deps: Deps, request: GetModel) -> ModelLineage:
    model, told, dataset = await origin(deps, request.model_id)
    return ModelLineage(model_id=model.model_id, steps=lineage_of(model, told, dataset))


@HANDLERS.on(COMPARE_MODELS)
async def compare_models(deps: Deps, request: CompareModels) -> ModelComparison:
    async with deps.database.connection() as connection:
        first, second = await found(connection, request.model_id), await found(connection, request.other_id)
        summaries = (
            await models.summary(connection, first.model_id),
            await models.summary(connection, second.model_id),
        )
    return compared(first, second, summaries)


async def origin(deps: Deps, reference: str) -> tuple[Model, list[LineageStep], Dataset | None]:
    async with deps.database.connection() as connection:
        model = await found(connection, reference)
        told = [LineageStep.model_validate(step) for step in await models.lineage(connection, model.model_id)]
        dataset = await datasets.find(connection, model.dataset_id) if model.dataset_id is not None else None
    return model, told, dataset
