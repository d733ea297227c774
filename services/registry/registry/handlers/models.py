"""Models: entering, finding, changing, handing out and deleting them."""

import asyncio
import secrets

from common import outbox
from common.database import Connection
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import FIND_JOBS_COMPARING, FindJobsComparing
from contracts.pipeline import ExportFormat
from contracts.registry import (
    DELETE_MODEL,
    GET_DOWNLOAD,
    GET_MODEL,
    LIST_MODELS,
    MODEL_REGISTERED,
    REGISTER_MODEL,
    UPDATE_MODEL,
    DeleteModel,
    Download,
    GetDownload,
    GetModel,
    ListModels,
    Model,
    ModelDeleted,
    ModelPage,
    ModelRegistered,
    RegisterModel,
    UpdateModel,
)
from registry.domain.models import (
    check_entry,
    check_exported,
    check_served,
    check_uncompared,
    check_unused,
    checksummed,
    confirmed,
    exported_path,
    paths_of,
    quantized,
    references_of,
)
from registry.domain.references import read_reference
from registry.freeing import Freed
from registry.handlers.deps import HANDLERS, Deps
from registry.handlers.telling import changing, tell
from registry.store import closed_runs, freeing, models, serving, storable

_LATER = (RefusalCode.STORAGE_FAILED, RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT)
"""What keeps the files of a deleted model from being removed at once, and will not for long."""
_LOOK_SECONDS = 5.0
"""For how long registrations and deletions may wait for the object store to answer one of them."""


@HANDLERS.on(REGISTER_MODEL)
async def register_model(deps: Deps, request: RegisterModel) -> Model:
    check_entry(request)
    async with deps.database.connection() as connection:
        model = await models.find_by_key(connection, request.idempotency_key)
    if model is None:
        async with deps.database.transaction() as connection:
            model = await _enter(deps, connection, request)
        deps.relay.kick()
    return confirmed(model, request)


async def _enter(deps: Deps, connection: Connection, request: RegisterModel) -> Model:
    revision = await serving.take_turn(connection)
    earlier = await models.find_by_key(connection, request.idempotency_key)
    if earlier is not None:
        return earlier
    if await closed_runs.is_closed(connection, request.run_id):
        raise Refused(RefusalCode.CONFLICT, f"The job of run {request.run_id!r} has been deleted")
    paths = paths_of(request)
    if await freeing.leaving(connection, paths):
        raise Refused(RefusalCode.UNAVAILABLE, "The exports belonged to a deleted model and are being removed")
    # In turn with deletions, so that what is counted here stays.
    check_exported(await _count_files(deps, request))
    model = await models.add(connection, f"model_{secrets.token_hex(8)}", request, revision)
    await freeing.own(connection, model.model_id, paths)
    if request.aliases:
        check_served(model)
        for alias in request.aliases:
            await serving.move_alias(connection, model.model_name, alias, model.model_id, revision)
        model = await found(connection, model.model_id)
    event = ModelRegistered(
        model_id=model.model_id,
        model_name=model.model_name,
        base_model=model.base_model,
        exports=model.exports,
        chat_template=model.chat_template,
    )
    await outbox.add(connection, MODEL_REGISTERED, event, message_id=f"registered.{model.model_id}")
    await tell(connection, revision)
    return model


async def _count_files(deps: Deps, request: RegisterModel) -> dict[ExportFormat, int]:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return {name: len(await deps.storage.files_of(path)) for name, path in request.exports.items()}
    except TimeoutError:
        raise Refused(RefusalCode.UNAVAILABLE, "The object store takes too long to list the exports") from None
    except Refused as refused:
        # Nothing is wrong with the model: the trainer registers it once the object store is back.
        message = f"The exports cannot be looked at: {refused.message}"
        raise Refused(RefusalCode.UNAVAILABLE, message, refused.metadata) from refused


@HANDLERS.on(GET_MODEL)
async def get_model(deps: Deps, request: GetModel) -> Model:
    async with deps.database.connection() as connection:
        return await found(connection, request.model_id)


async def found(connection: Connection, reference: str) -> Model:
    """Raises `Refused(NOT_FOUND)`."""
    model = await models.find(connection, read_reference(reference))
    if model is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no model {reference}")
    return model


@HANDLERS.on(LIST_MODELS)
async def list_models(deps: Deps, request: ListModels) -> ModelPage:
    async with deps.database.connection() as connection:
        page, total = await models.newest(connection, request)
    return ModelPage(
        models=page,
        total=total,
        limit=request.limit,
        offset=request.offset,
        has_more=request.offset + len(page) < total,
    )


@HANDLERS.on(UPDATE_MODEL)
async def update_model(deps: Deps, request: UpdateModel) -> Model:
    if not storable(request.description or ""):
        errors = [{"field": "description", "message": "holds a zero character"}]
        raise Refused(RefusalCode.INVALID, "The model cannot be described so", {"errors": errors})
    async with deps.database.transaction() as connection:
        model = await found(connection, request.model_id)
        await models.describe(connection, model.model_id, request.description, request.tags)
        return await found(connection, model.model_id)


@HANDLERS.on(DELETE_MODEL)
async def delete_model(deps: Deps, request: DeleteModel) -> ModelDeleted:
    if not request.force:
        await _check_uncompared(deps, request.model_id)
    async with changing(deps) as (connection, revision):
        model = await found(connection, request.model_id)
        if not request.force:
            check_unused(model, deletes=True)
        await serving.drop_aliases(connection, model.model_id, revision)
        paths = await freeing.delete(connection, model.model_id, revision)
    try:
        freed = await deps.freeing.free(paths)
    except Refused as refused:
        if refused.code not in _LATER:
            raise
        freed = Freed(0, waits=True)
    return ModelDeleted(model_id=model.model_id, freed_bytes=freed.size, pending=freed.waits)


async def _check_uncompared(deps: Deps, reference: str) -> None:
    """Not in the turn of the deletion, which nobody else is to wait for."""
    async with deps.database.connection() as connection:
        model = await found(connection, reference)
        newest = await found(connection, model.model_name)
    names = references_of(model, newest.model_id)
    check_uncompared(model, (await deps.bus.ask(FIND_JOBS_COMPARING, FindJobsComparing(models=names))).job_ids)


@HANDLERS.on(GET_DOWNLOAD)
async def get_download(deps: Deps, request: GetDownload) -> Download:
    model = await get_model(deps, GetModel(model_id=request.model_id))
    files = await deps.storage.files_of(exported_path(model, request.format))
    if not files:
        raise Refused(RefusalCode.STORAGE_FAILED, f"The files of {model.model_id} are gone from the object store")
    return Download(
        model_id=model.model_id,
        model_name=model.model_name,
        version=model.version,
        format=request.format,
        files=quantized(checksummed(files, model, request.format), request.quantization),
        created_at=model.created_at,
    )
