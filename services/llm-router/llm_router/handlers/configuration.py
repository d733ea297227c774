"""Engines and configuration: reading them, changing them, and hearing that another replica has changed them."""

import asyncio
import uuid

from common import outbox
from common.context import current
from common.database import Connection
from contracts.base import Empty, RefusalCode, Refused
from contracts.instances import InstanceConfig
from contracts.router import (
    CONFIG_CHANGED,
    GET_CONFIG,
    UPDATE_CONFIG,
    Config,
    ConfigChanged,
    ConfigUpdated,
    UpdateConfig,
)
from llm_router.domain.configuration import Change, Selection, change
from llm_router.domain.engines import CONFIGURED, EngineSpec, ModelCard
from llm_router.engine.addresses import refuse_private
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import engines, instances, models

_READ_AGAIN_SECONDS = 30.0
_USUAL = InstanceConfig()


@HANDLERS.on(GET_CONFIG)
async def get_config(deps: Deps, _request: Empty) -> Config:
    await try_to_read(deps)
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


async def read(deps: Deps) -> None:
    """Brings this replica to what is stored: engines, default, numbers of models."""
    async with deps.reading:
        async with deps.database.connection() as connection:
            selection = await engines.read_selection(connection)
            rows = await engines.list_engines(connection)
            numbers = await models.list_models(connection)
            settings = await models.list_settings(connection)
            configs = await instances.list_configs(connection)
        deps.models.selection = selection
        deps.models.settings = settings
        deps.models.configs = {
            row.registration.port: configs.get(row.id) or deps.declared_configs.get(row.registration.name, _USUAL)
            for row in reversed(rows)
            if row.registration.port is not None
        }
        deps.prices.of_models = {name: said.prices for name, said in settings.items() if said.prices is not None}
        deps.engines.clear()
        deps.engines.update({row.id: row for row in rows})
        deps.numbers.update({number.name: number for number in numbers})
        specs = [_spec(deps, row, selection) for row in rows if row.registration.enabled]
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
        await try_to_read(deps)


async def _read_now_and_then(deps: Deps) -> None:
    while True:
        await asyncio.sleep(_READ_AGAIN_SECONDS)
        await try_to_read(deps)


async def try_to_read(deps: Deps) -> None:
    """As `read`, but content with what was read before while the database is away."""
    try:
        await read(deps)
    except Refused as refused:
        if refused.code is not RefusalCode.UNAVAILABLE:
            raise


async def _write(deps: Deps, planned: Change) -> None:
    configured = planned.configured
    sealed = deps.vault.seal(configured.token) if configured is not None and configured.token is not None else None
    async with deps.database.transaction() as connection:
        stored = await engines.read_selection(connection, for_update=True)
        if stored.revision + 1 != planned.selection.revision:
            raise Refused(RefusalCode.UNAVAILABLE, "The configuration was changed at the same time; try again")
        await engines.write_selection(connection, planned.selection)
        if configured is not None:
            await engines.put_configured_engine(
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


def _spec(deps: Deps, row: engines.EngineRow, selection: Selection) -> EngineSpec:
    known = row.registration
    chosen = (selection.model,) if selection.model is not None and known.name == selection.engine == CONFIGURED else ()
    return EngineSpec(
        id=row.id,
        name=known.name,
        provider_type=known.provider_type,
        api_base=known.api_base,
        port=known.port,
        token=deps.vault.open(row.sealed_token, known.name) if row.sealed_token is not None else None,
        guarded=known.guarded,
        concurrency=known.concurrency,
        timeout=known.timeout,
        priority=known.priority,
        weight=known.weight,
        models=(*known.models, *chosen),
        prices=known.prices,
        last_used=row.last_used,
    )
