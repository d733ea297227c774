"""Engines at run time: registering, changing, disabling and removing them. Every replica hears of it."""

from collections.abc import Awaitable, Callable, Collection

from common.context import current
from common.database import Connection
from contracts.base import RefusalCode, Refused
from contracts.engines import (
    CREATE_ENGINE,
    DELETE_ENGINE,
    GET_ENGINE,
    LIST_ENGINES,
    UPDATE_ENGINE,
    CreateEngine,
    Engine,
    EnginePage,
    EngineRemoved,
    GetEngine,
    ListEngines,
    UpdateEngine,
)
from llm_router.domain.configuration import Selection
from llm_router.domain.engines import CONFIGURED
from llm_router.domain.registration import keeps_token, registration, revision, unchangeable
from llm_router.handlers.configuration import read, tell, try_to_read
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import engines as store


@HANDLERS.on(LIST_ENGINES)
async def list_engines(deps: Deps, request: ListEngines) -> EnginePage:
    await try_to_read(deps)
    rows = list(deps.engines.values())
    end = request.offset + request.limit
    return EnginePage.of([described(deps, row) for row in rows[request.offset : end]], len(rows), request)


@HANDLERS.on(GET_ENGINE)
async def get_engine(deps: Deps, request: GetEngine) -> Engine:
    await try_to_read(deps)
    return _known(deps, request.engine_id)


@HANDLERS.on(CREATE_ENGINE)
async def create_engine(deps: Deps, request: CreateEngine) -> Engine:
    needs_admin()
    engine = registration(request)
    sealed = deps.vault.seal(request.auth_token) if request.auth_token is not None else None

    async def insert(connection: Connection) -> int:
        return await store.insert_engine(connection, engine, sealed)

    return _known(deps, await change(deps, insert))


@HANDLERS.on(UPDATE_ENGINE)
async def update_engine(deps: Deps, request: UpdateEngine) -> Engine:
    needs_admin()
    sealed = deps.vault.seal(request.auth_token) if request.auth_token else None

    async def update(connection: Connection) -> int:
        fields = [name for name, value in request if value is not None and name != "engine_id"]
        known = await changeable(connection, request.engine_id, fields)
        engine = revision(known.registration, request)
        kept = request.auth_token is None and keeps_token(known.registration, engine)
        await store.update_engine(connection, known.id, engine, known.sealed_token if kept else sealed)
        return known.id

    return _known(deps, await change(deps, update))


@HANDLERS.on(DELETE_ENGINE)
async def delete_engine(deps: Deps, request: GetEngine) -> EngineRemoved:
    needs_admin()
    names: list[str] = []

    async def delete(connection: Connection) -> int:
        known = await changeable(connection, request.engine_id)
        names.append(known.registration.name)
        await store.delete_engine(connection, known.id)
        return known.id

    return EngineRemoved(id=await change(deps, delete), name=names[0])


async def change(deps: Deps, make: Callable[[Connection], Awaitable[int]]) -> int:
    """Makes one change with its event, in one transaction, and reads it here; the engine's id."""
    async with deps.database.transaction() as connection:
        # The row of the selection is also the lock that lets changes of engines follow one another.
        selection = await store.read_selection(connection, for_update=True)
        number = await make(connection)
        names = {row.registration.name for row in await store.list_engines(connection)}
        chosen = selection.engine if selection.engine in names else None
        revised = Selection(chosen, selection.model, selection.revision + 1)
        await store.write_selection(connection, revised)
        await tell(connection, revised.revision)
    deps.relay.kick()
    await read(deps)
    return number


async def changeable(connection: Connection, number: int, fields: Collection[str] | None = None) -> store.EngineRow:
    """The engine, if these of its fields can be changed, or it itself removed where none are named."""
    row = await store.get_engine(connection, number)
    if row is None:
        raise _not_found(number)
    if (refusal := unchangeable(row.registration.name, fields, declared=row.declared)) is not None:
        raise refusal
    return row


def needs_admin() -> None:
    """An administrator vouches for every address, so private ones are allowed, as they are in the configuration."""
    principal = current().principal
    if principal is None or principal.role != "admin":
        raise Refused(RefusalCode.FORBIDDEN, "Only an administrator changes engines")


def _known(deps: Deps, number: int) -> Engine:
    row = deps.engines.get(number)
    if row is None:
        raise _not_found(number)
    return described(deps, row)


def _not_found(number: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no engine with id {number}")


def described(deps: Deps, row: store.EngineRow) -> Engine:
    known = row.registration
    member = deps.pool.member(known.name)
    return Engine(
        id=row.id,
        name=known.name,
        provider_type=known.provider_type,
        api_base=known.api_base,
        port=known.port,
        status="disabled" if member is None else "available" if member.up else "unavailable",
        models=[card.name for card in deps.catalogue.cards(known.name)],
        outstanding=member.outstanding if member is not None else 0,
        last_used=member.last_used if member is not None else row.last_used,
        has_token=row.sealed_token is not None,
        source="environment" if row.declared else "configuration" if known.name == CONFIGURED else "registered",
        enabled=known.enabled,
        concurrency=known.concurrency,
        timeout=known.timeout,
        priority=known.priority,
        weight=known.weight,
        prices=dict(known.prices),
    )
