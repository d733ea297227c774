"""LLM instances (document C), which are the engines that have a port: kept, and asked who they are."""

from datetime import UTC, datetime

from common.database import Connection
from contracts import instances as contract
from contracts.base import Empty
from contracts.engines import CreateEngine, UpdateEngine
from contracts.instances import (
    CreateInstance,
    Instance,
    InstanceConfig,
    InstanceInfo,
    Instances,
    InstanceTest,
    OnPort,
    UpdateInstance,
)
from contracts.router import ProviderType
from llm_router.domain.engines import EngineSpec
from llm_router.domain.instances import LOOPBACK, Probe, api_base_of, check_free, no_instance
from llm_router.domain.registration import keeps_token, registration, revision
from llm_router.engine.probes import probe
from llm_router.handlers.configuration import try_to_read
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.handlers.engines import change, changeable, described, needs_admin
from llm_router.store import engines as engine_store
from llm_router.store import instances as store
from llm_router.store.engines import EngineRow

_OF_THE_ENGINE = ("name", "provider_type", "auth_token", "enabled")


@HANDLERS.on(contract.LIST_INSTANCES)
async def list_instances(deps: Deps, _request: Empty) -> Instances:
    await try_to_read(deps)
    by_port: dict[int, EngineRow] = {}
    for row in deps.engines.values():
        if row.registration.port is not None:
            by_port.setdefault(row.registration.port, row)
    return Instances(instances=[_instance(deps, by_port[port]) for port in sorted(by_port)])


@HANDLERS.on(contract.GET_INSTANCE)
async def get_instance(deps: Deps, request: OnPort) -> Instance:
    await try_to_read(deps)
    return _instance(deps, _known(deps, request.port))


@HANDLERS.on(contract.CREATE_INSTANCE)
async def create_instance(deps: Deps, request: CreateInstance) -> Instance:
    needs_admin()
    api_base = api_base_of(request) or f"http://{LOOPBACK}:{request.port}"
    provider = request.provider_type or await _spoken(api_base, request.auth_token)
    engine = registration(CreateEngine(name=request.name, provider_type=provider, api_base=api_base, port=request.port))
    sealed = deps.vault.seal(request.auth_token) if request.auth_token is not None else None

    async def insert(connection: Connection) -> int:
        rows = await engine_store.list_engines(connection)
        check_free(request.port, [(row.registration.port, row.registration.name) for row in rows])
        number = await engine_store.insert_engine(connection, engine, sealed)
        await store.write_config(connection, number, request.config)
        return number

    await change(deps, insert)
    return _instance(deps, _known(deps, request.port))


@HANDLERS.on(contract.UPDATE_INSTANCE)
async def update_instance(deps: Deps, request: UpdateInstance) -> Instance:
    """Of an engine that the environment declares, the config alone can be changed."""
    needs_admin()
    await try_to_read(deps)
    number = _known(deps, request.port).id
    said = {name: value for name in _OF_THE_ENGINE if (value := getattr(request, name)) is not None}
    if (api_base := api_base_of(request)) is not None:
        said["api_base"] = api_base
    sealed = deps.vault.seal(request.auth_token) if request.auth_token else None

    async def update(connection: Connection) -> int:
        if said:
            known = await changeable(connection, number, said)
            engine = revision(known.registration, UpdateEngine.model_validate({"engine_id": number, **said}))
            kept = request.auth_token is None and keeps_token(known.registration, engine)
            await engine_store.update_engine(connection, number, engine, known.sealed_token if kept else sealed)
        if request.config is not None:
            await store.write_config(connection, number, request.config)
        return number

    await change(deps, update)
    return _instance(deps, _known(deps, request.port))


@HANDLERS.on(contract.DELETE_INSTANCE)
async def delete_instance(deps: Deps, request: OnPort) -> Instance:
    """What it was. What it is working on ends normally."""
    needs_admin()
    await try_to_read(deps)
    row = _known(deps, request.port)
    was = _instance(deps, row)

    async def delete(connection: Connection) -> int:
        await changeable(connection, row.id)
        await engine_store.delete_engine(connection, row.id)
        return row.id

    await change(deps, delete)
    return was


# Asked who they are


@HANDLERS.on(contract.TEST_INSTANCE)
async def test_instance(deps: Deps, request: OnPort) -> InstanceTest:
    found = await _probe(deps, request.port)
    return InstanceTest(
        connected=found.connected, model_info=found.model_info, timestamp=datetime.now(UTC), error=found.error
    )


@HANDLERS.on(contract.DESCRIBE_INSTANCE)
async def describe_instance(deps: Deps, request: OnPort) -> InstanceInfo:
    found = await _probe(deps, request.port)
    return InstanceInfo(
        port=request.port,
        timestamp=datetime.now(UTC),
        connected=found.connected,
        model_info=found.model_info,
        kobold=found.kobold,
        openai=found.openai,
    )


async def _probe(deps: Deps, port: int) -> Probe:
    await try_to_read(deps)
    row = _known(deps, port)
    known = row.registration
    token = deps.vault.open(row.sealed_token, known.name) if row.sealed_token is not None else None
    return await probe(
        EngineSpec(row.id, known.name, known.provider_type, known.api_base, token=token, guarded=known.guarded)
    )


async def _spoken(api_base: str, token: str | None) -> ProviderType:
    """The API that is spoken there: OpenAI's where both or neither are."""
    base = registration(CreateEngine(name="-", provider_type="openai", api_base=api_base)).api_base
    found = await probe(EngineSpec(0, "-", "openai", base, token=token))
    return "koboldai" if found.kobold is not None and found.openai is None else "openai"


def _known(deps: Deps, port: int) -> EngineRow:
    """The engine that the port names, the oldest if there are several. Raises `Refused(NOT_FOUND)`."""
    for row in deps.engines.values():
        if row.registration.port == port:
            return row
    raise no_instance(port)


def _instance(deps: Deps, row: EngineRow) -> Instance:
    engine = described(deps, row)
    assert engine.port is not None  # noqa: S101 - it was found by its port
    return Instance(
        port=engine.port,
        name=engine.name,
        status=engine.status,
        last_used=engine.last_used,
        config=deps.models.configs.get(engine.port, InstanceConfig()),
    )
