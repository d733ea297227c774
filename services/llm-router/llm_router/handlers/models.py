"""Models that can be asked for: listing them with their numbers, and hearing of trained ones."""

import asyncio
from typing import Literal

from common.context import current
from common.telemetry import get_logger
from contracts.base import Empty, Refused
from contracts.registry import SERVING_CHANGED
from contracts.router import DEFAULT_MODEL, LIST_SERVED_MODELS, ServedModel, ServedModels
from llm_router.domain.capabilities import capabilities_of
from llm_router.domain.catalogue import Entry
from llm_router.domain.model_settings import ModelSettings
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import models as store
from llm_router.store.models import ModelNumber

_log = get_logger("models")
_RETRY_SECONDS = 1.0
_CATCH_UP_SECONDS = 30.0
_NUMBERING_SECONDS = 2.0
_NOTHING_SAID = ModelSettings()


@HANDLERS.on(LIST_SERVED_MODELS)
async def list_served_models(deps: Deps, _request: Empty) -> ServedModels:
    entries = deps.catalogue.entries()
    if any(entry.name not in deps.numbers for entry in entries):
        await number(deps, entries)
    return ServedModels(
        models=[_served(deps, entry, deps.numbers[entry.name]) for entry in entries if _may_be_asked(deps, entry)]
    )


def _may_be_asked(deps: Deps, entry: Entry) -> bool:
    """Whether the caller may ask the model, by any of its names."""
    principal = current().principal
    if principal is None or principal.models is None:
        return True
    default = deps.models.default()
    names = [entry.name, entry.model_id, DEFAULT_MODEL if default and default.model == entry.name else None]
    if entry.model_id is not None and (trained := deps.catalogue.trained(entry.model_id)) is not None:
        names.append(trained.name)
    return any(principal.may_ask(name) for name in names if name is not None)


async def number(deps: Deps, entries: list[Entry]) -> None:
    """Gives new names a number that they keep, and stores what has changed about known ones."""
    changed = [entry for entry in entries if not _is_noted(entry, deps.numbers.get(entry.name))]
    if changed:
        async with deps.database.transaction() as connection:
            numbers = await store.number_models(connection, changed)
        deps.numbers.update({number.name: number for number in numbers})


async def keep_numbering(deps: Deps) -> None:
    """Numbers what discovery finds, so that listing mostly needs no database and a restart knows what there was."""
    while True:
        try:
            await number(deps, deps.catalogue.entries())
        except Refused as refused:
            _log.info("numbering_waits", reason=refused.message)
        await asyncio.sleep(_NUMBERING_SECONDS)


async def follow_serving(deps: Deps) -> None:
    """Serves every model from the moment it is registered, and until it is undeployed or deleted."""
    await _catch_up(deps)
    async with asyncio.TaskGroup() as group:
        group.create_task(_follow_events(deps))
        group.create_task(_catch_up_now_and_then(deps))


async def _follow_events(deps: Deps) -> None:
    # From the beginning, so that none is missed between the first look and this; those that are known cost nothing.
    async for delivered in deps.bus.follow(SERVING_CHANGED, after=0):
        if delivered.body.revision > deps.serving.revision:
            await _catch_up(deps)


async def _catch_up_now_and_then(deps: Deps) -> None:
    """In case that an event was lost."""
    while True:
        await asyncio.sleep(_CATCH_UP_SECONDS)
        await _catch_up(deps)


async def _catch_up(deps: Deps) -> None:
    """Waits for the registry if need be."""
    while True:
        try:
            return await deps.serving.catch_up()
        except Refused as refused:
            _log.info("registry_not_there", reason=refused.message)
        await asyncio.sleep(_RETRY_SECONDS)


def _is_noted(entry: Entry, number: ModelNumber | None) -> bool:
    return number is not None and (entry.provider, entry.max_tokens, _engine(entry), entry.parent, entry.model_id) == (
        number.provider,
        number.max_tokens,
        number.engine,
        number.parent,
        number.model_id,
    )


def _engine(entry: Entry) -> str | None:
    return entry.engines[0] if entry.engines else None


def _served(deps: Deps, entry: Entry, number: ModelNumber) -> ServedModel:
    up = [name for name in entry.engines if deps.pool.is_up(name)]
    engine = (up or entry.engines or ("",))[0]
    settings = deps.models.settings.get(entry.name, _NOTHING_SAID)
    trained = deps.catalogue.trained(entry.model_id) if entry.model_id is not None else None
    context_size = settings.context_size or entry.context_size or _listed_context(deps, engine, entry.name)
    return ServedModel(
        id=number.id,
        name=entry.name,
        provider=entry.provider,
        max_tokens=context_size or entry.max_tokens,
        status=_status(deps, entry, up=bool(up)),
        engine=engine,
        parent=entry.parent,
        model_id=entry.model_id,
        versioned=trained.versioned if trained is not None else None,
        context_size=context_size,
        prices=deps.prices.prices_of(engine, entry.model_id or entry.name, entry.name),
        capabilities=list(settings.capabilities or capabilities_of(entry.provider)),
        fallbacks=list(settings.fallbacks),
        created_at=number.created_at,
        updated_at=number.updated_at,
    )


def _status(deps: Deps, entry: Entry, *, up: bool) -> Literal["active", "unavailable", "disabled"]:
    if not all(deps.models.is_enabled(name) for name in (entry.name, entry.model_id) if name is not None):
        return "disabled"
    return "active" if up else "unavailable"


def _listed_context(deps: Deps, engine: str, model: str) -> int | None:
    """What a hosted provider says about its model, whose API does not."""
    member = deps.pool.member(engine)
    return deps.prices.context_size(member.spec, model) if member is not None else None
