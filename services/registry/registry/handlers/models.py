"""Models: entering, finding, describing and handing them out."""

import secrets

from common import outbox
from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportFormat
from contracts.registry import (
    GET_DOWNLOAD,
    GET_MODEL,
    GET_MODEL_CARD,
    LIST_MODELS,
    MODEL_REGISTERED,
    REGISTER_MODEL,
    Download,
    GetDownload,
    GetModel,
    ListModels,
    Model,
    ModelCard,
    ModelPage,
    ModelRegistered,
    RegisterModel,
)
from registry.domain.cards import card
from registry.domain.models import check_entry, check_exported, confirmed, exported_path
from registry.handlers.deps import HANDLERS, Deps
from registry.store import datasets, models


@HANDLERS.on(REGISTER_MODEL)
async def register_model(deps: Deps, request: RegisterModel) -> Model:
    check_entry(request)
    async with deps.database.connection() as connection:
        model = await models.find_by_key(connection, request.idempotency_key)
    if model is None:
        check_exported(await _count_files(deps, request))
        model = await _enter(deps, request)
    return confirmed(model, request)


async def _count_files(deps: Deps, request: RegisterModel) -> dict[ExportFormat, int]:
    try:
        return {name: len(await deps.storage.files_of(path)) for name, path in request.exports.items()}
    except Refused as refused:
        # Nothing is wrong with the model: the trainer registers it once the object store is back.
        message = f"The exports cannot be looked at: {refused.message}"
        raise Refused(RefusalCode.UNAVAILABLE, message, refused.metadata) from refused


async def _enter(deps: Deps, request: RegisterModel) -> Model:
    async with deps.database.transaction() as connection:
        model = await models.add(connection, f"model_{secrets.token_hex(8)}", request)
        if model is None:
            earlier = await models.find_by_key(connection, request.idempotency_key)
            assert earlier is not None  # noqa: S101 - models are never deleted
            return earlier
        event = ModelRegistered(
            model_id=model.model_id,
            model_name=model.model_name,
            base_model=model.base_model,
            exports=model.exports,
            chat_template=model.chat_template,
        )
        await outbox.add(connection, MODEL_REGISTERED, event, message_id=f"registered.{model.model_id}")
    deps.relay.kick()
    return model


@HANDLERS.on(GET_MODEL)
async def get_model(deps: Deps, request: GetModel) -> Model:
    async with deps.database.connection() as connection:
        model = await models.find(connection, request.model_id)
    if model is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no model {request.model_id}")
    return model


@HANDLERS.on(LIST_MODELS)
async def list_models(deps: Deps, request: ListModels) -> ModelPage:
    async with deps.database.connection() as connection:
        found, total = await models.newest(connection, request.limit, request.offset, request.base_model)
    return ModelPage(
        models=found,
        total=total,
        limit=request.limit,
        offset=request.offset,
        has_more=request.offset + len(found) < total,
    )


@HANDLERS.on(GET_MODEL_CARD)
async def get_model_card(deps: Deps, request: GetModel) -> ModelCard:
    model = await get_model(deps, request)
    dataset = None
    if model.dataset_id is not None:
        async with deps.database.connection() as connection:
            dataset = await datasets.find(connection, model.dataset_id)
    return ModelCard(model_id=model.model_id, markdown=card(model, dataset))


@HANDLERS.on(GET_DOWNLOAD)
async def get_download(deps: Deps, request: GetDownload) -> Download:
    model = await get_model(deps, GetModel(model_id=request.model_id))
    files = await deps.storage.files_of(exported_path(model, request.format))
    if not files:
        raise Refused(RefusalCode.STORAGE_FAILED, f"The files of {model.model_id} are gone from the object store")
    return Download(model_id=model.model_id, model_name=model.model_name, format=request.format, files=files)
