"""Engines and configuration: reading them, changing them, and hearing that another replica has changed them."""

import asyncio
import uuid

from common import outbox
from common.context import current
from common.database import Connection
from contracts.base import Empty, RefusalCode, Refused
from contracts.router import (
    CONFIG_CHANGED,
    GET_CONFIG,
    LIST_ENGINES,
    UPDATE_CONFIG,
    Config,
    ConfigChanged,
    ConfigUpdated,
    Engine,
    Engines,
    UpdateConfig,
)
from llm_router import store
from llm_router.domain.configuration import Change, change
from llm_router.domain.engines import CONFIGURED, EngineSpec, ModelCard
from llm_router.engine.addresses import refuse_private
from llm_router.engine.pool import Member
from llm_router.handlers.deps import HANDLERS, Deps

_READ_AGAIN_SECONDS = 30.0


@HANDLERS.on(GET_CONFIG)
async def get_config(deps: Deps, _request: Empty) -> Config:
    await read(deps)
    default = deps.models.default()
    if default is None:
        raise Refused(RefusalCode.UNAVAILABLE, "No engine is known, so nothing answers by default")
    return default.config()


@HANDLERS.on(UPDATE_CONFIG)
async def update_config(deps: Deps, request: UpdateConfig) -> ConfigUpdated:
    principal = current().principal
    admin = principal is not None and principal.role == "admin"
    await read(deps)
    async with deps.reading:
        planned = change(request, deps.models.selection, deps.models.default(), deps.pool.specs(), admin=admin)
        if planned.to_check is not None:
            await refuse_private(planned.to_check)
        await _write(deps, planned)
    deps.relay.kick()
    await read(deps)
    return ConfigUpdated()


@HANDLERS.on(LIST_ENGINES)
async def list_engines(deps: Deps, _request: Empty) -> Engines:
    return Engines(engines=[_engine(member, deps.catalogue.cards(member.name)) for member in deps.pool.members()])


async def read(deps: Deps) -> None:
    """Brings this replica to what is stored: engines, default, numbers of models."""
    async with deps.reading:
        async with deps.database.connection() as connection:
            selection = await store.read_selection(connection)
            rows = await store.list_engines(connection)
            numbers = await store.list_models(connection)
        deps.models.selection = selection
        deps.numbers.update({number.name: number for number in numbers})
        static = (selection.model,) if selection.model is not None else ()
        specs = [_spec(deps, row, static if row.name == selection.engine == CONFIGURED else ()) for row in rows]
        remembered = [
            (number.engine, ModelCard(number.name, number.max_tokens, number.parent))
            for number in numbers
            if number.engine is not None and number.model_id is None
        ]
        await deps.pool.apply(specs, remembered)


async def follow(deps: Deps) -> None:
    """Reads again when a replica has changed something, and now and then in case that was missed."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_follow_events(deps))
        group.create_task(_read_now_and_then(deps))


async def _follow_events(deps: Deps) -> None:
    async for _ in deps.bus.follow(CONFIG_CHANGED):
        await _try_to_read(deps)


async def _read_now_and_then(deps: Deps) -> None:
    while True:
        await asyncio.sleep(_READ_AGAIN_SECONDS)
        await _try_to_read(deps)


async def _try_to_read(deps: Deps) -> None:
    try:
        await read(deps)
    except Refused as refused:
        if refused.code is not RefusalCode.UNAVAILABLE:
            raise


async def _write(deps: Deps, planned: Change) -> None:
    configured = planned.configured
    sealed = deps.vault.seal(configured.token) if configured is not None and configured.token is not None else None
    async with deps.database.transaction() as connection:
        stored = await store.read_selection(connection, for_update=True)
        if stored.revision + 1 != planned.selection.revision:
            raise Refused(RefusalCode.UNAVAILABLE, "The configuration was changed at the same time; try again")
        await store.write_selection(connection, planned.selection)
        if configured is not None:
            await store.put_configured_engine(
                connection,
                configured.provider_type,
                configured.api_base,
                guarded=configured.guarded,
                sealed_token=sealed,
            )
        await tell(connection, planned.selection.revision)


async def tell(connection: Connection, revision: int) -> None:
    """Tells every replica to read again once the transaction has committed."""
    await outbox.add(connection, CONFIG_CHANGED, ConfigChanged(revision=revision), message_id=uuid.uuid4().hex)


def _spec(deps: Deps, row: store.EngineRow, models: tuple[str, ...]) -> EngineSpec:
    return EngineSpec(
        id=row.id,
        name=row.name,
        provider_type=row.provider_type,
        api_base=row.api_base,
        port=row.port,
        token=deps.vault.open(row.sealed_token, row.name) if row.sealed_token is not None else None,
        guarded=row.guarded,
        concurrency=row.concurrency,
        models=models,
        last_used=row.last_used,
    )


def _engine(member: Member, cards: list[ModelCard]) -> Engine:
    spec = member.spec
    return Engine(
        id=spec.id,
        name=spec.name,
        provider_type=spec.provider_type,
        api_base=spec.api_base,
        port=spec.port,
        status="available" if member.up else "unavailable",
        models=[card.name for card in cards],
        outstanding=member.outstanding,
        last_used=member.last_used,
        has_token=spec.token is not None,
    )
