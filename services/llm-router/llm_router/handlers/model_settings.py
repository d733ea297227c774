"""What an administrator says about single models, by the name they are asked by."""

from common.context import current
from contracts import engines as contracts
from contracts.base import RefusalCode, Refused
from contracts.engines import GET_MODEL_SETTINGS, PUT_MODEL_SETTINGS, NamedModel
from llm_router.domain.configuration import Selection
from llm_router.domain.model_settings import ModelSettings, checked
from llm_router.handlers.configuration import read, tell
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import engines, models

_NOTHING = ModelSettings()


@HANDLERS.on(GET_MODEL_SETTINGS)
async def get_model_settings(deps: Deps, request: NamedModel) -> contracts.ModelSettings:
    async with deps.database.connection() as connection:
        known = (await models.list_settings(connection)).get(request.model, _NOTHING)
    return _told(request.model, known)


@HANDLERS.on(PUT_MODEL_SETTINGS)
async def put_model_settings(deps: Deps, request: contracts.ModelSettings) -> contracts.ModelSettings:
    principal = current().principal
    if principal is None or principal.role != "admin":
        raise Refused(RefusalCode.FORBIDDEN, "Only an administrator changes the settings of models")
    capabilities = tuple(request.capabilities) if request.capabilities is not None else None
    said = ModelSettings(
        enabled=request.enabled,
        prices=request.prices,
        fallbacks=tuple(request.fallbacks),
        context_size=request.context_size,
        capabilities=capabilities,
    )
    settings = checked(request.model, said)
    async with deps.database.transaction() as connection:
        selection = await engines.read_selection(connection, for_update=True)
        await models.put_settings(connection, request.model, settings)
        revised = Selection(selection.engine, selection.model, selection.revision + 1)
        await engines.write_selection(connection, revised)
        await tell(connection, revised.revision)
    deps.relay.kick()
    await read(deps)
    return _told(request.model, settings)


def _told(name: str, settings: ModelSettings) -> contracts.ModelSettings:
    return contracts.ModelSettings(
        model=name,
        enabled=settings.enabled,
        prices=settings.prices,
        fallbacks=list(settings.fallbacks),
        context_size=settings.context_size,
        capabilities=list(settings.capabilities) if settings.capabilities is not None else None,
    )
