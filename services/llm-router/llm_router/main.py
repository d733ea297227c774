"""Constructs the llm-router: `python -m llm_router.main`."""

from functools import partial

from common.allowances import Allowances
from common.database import Database
from common.outbox import OutboxRelay
from common.service import Service, run
from common.telemetry import get_logger
from contracts.router import BUDGET_WANTED
from contracts.topology import ROUTER_INTERACTIONS
from llm_router.domain.catalogue import Catalogue
from llm_router.domain.engines import EngineSpec
from llm_router.engine.adapter_files import AdapterFiles
from llm_router.engine.adapters import Adapters
from llm_router.engine.budgets import Budgets
from llm_router.engine.completions import Completions, Patience
from llm_router.engine.koboldai import KoboldEngine
from llm_router.engine.models import Models
from llm_router.engine.openai import OpenAIEngine
from llm_router.engine.pool import EnginePool, PoolLimits
from llm_router.engine.prices import PriceList
from llm_router.engine.protocol import Engine, Timeouts
from llm_router.engine.recorder import Recorder
from llm_router.engine.serving import Serving
from llm_router.engine.tokens import TokenVault
from llm_router.engine.vllm import VllmEngine
from llm_router.handlers import HANDLERS, Deps, configuration, interactions, models, once
from llm_router.settings import RouterSettings
from llm_router.store import engines

NAME = "llm_router"
_FLUSH_SECONDS = 5.0
_log = get_logger("main")


async def build(service: Service, settings: RouterSettings) -> None:
    vault = TokenVault(settings.secret_key)
    settings.adapters.mkdir(parents=True, exist_ok=True)
    database = await service.database(NAME)
    bus = await service.bus()

    recorder = Recorder(bus, settings.interaction_buffer)
    catalogue = Catalogue()
    pool = _pool(settings, catalogue)
    service.stack.push_async_callback(pool.close)
    files = AdapterFiles(
        service.object_store(),
        settings.adapters,
        settings.adapter_cache_bytes,
        catalogue.loaded_adapters,
        # As long as a load may take, and until a health check has seen it on the engine.
        grace=settings.model_load_timeout + 2 * settings.engine_check_interval,
    )
    adapters = Adapters(files, catalogue, settings.adapters_per_engine, settings.model_load_timeout)
    service.stack.push_async_callback(adapters.close)
    prices = PriceList(pool)
    serving = Serving(bus, catalogue, pool, adapters)
    service.stack.push_async_callback(serving.close)
    router_models = Models(catalogue, pool, serving)
    allowances = Allowances(database, bus, BUDGET_WANTED, strict=True, idle_seconds=settings.budget_idle_seconds)
    service.stack.push_async_callback(allowances.close)
    budgets = Budgets(allowances, prices.prices_of)
    patience = Patience(settings.engine_request_timeout, settings.engine_attempts)
    deps = Deps(
        bus=bus,
        database=database,
        relay=OutboxRelay(database, bus),
        catalogue=catalogue,
        pool=pool,
        models=router_models,
        serving=serving,
        completions=Completions(router_models, catalogue, pool, adapters, recorder, budgets, prices, patience),
        vault=vault,
        prices=prices,
        retention_days=settings.interaction_retention_days,
        keep_seconds=settings.idempotency_seconds,
        making_seconds=settings.idempotency_lease_seconds,
        declared_configs={engine.name: engine.config for engine in settings.engines},
    )
    await _declare_engines(database, settings)
    await _reseal_tokens(database, vault)
    await configuration.read(deps)

    service.spawn("outbox", deps.relay.run)
    service.spawn("engines", pool.run)
    service.spawn("configuration", partial(configuration.follow, deps))
    service.spawn("serving", partial(models.follow_serving, deps))
    service.spawn("withdrawn", serving.let_go)
    service.spawn("numbering", partial(models.keep_numbering, deps))
    service.spawn("kept_completions", partial(once.sweep, deps))
    service.spawn("recorder", recorder.run)
    service.spawn("budgets", allowances.sweep)
    service.spawn("budgets-wanted", allowances.follow_wanted)
    service.stack.push_async_callback(recorder.flush, _FLUSH_SECONDS)
    service.stack.push_async_callback(once.settle, deps)
    await bus.serve(HANDLERS, deps)
    # At the end what is being answered ends and is recorded, and only then do the parts above close.
    service.stack.push_async_callback(bus.drain)
    # Ends before all: what is recorded from then on is left to another replica or the next start.
    service.spawn("days", partial(interactions.keep_days, deps))
    keep = partial(interactions.keep, deps)
    service.spawn("interactions", lambda: bus.consume(ROUTER_INTERACTIONS, keep, batch=64, linger=0.25))


def _pool(settings: RouterSettings, catalogue: Catalogue) -> EnginePool:
    timeouts = Timeouts(
        connect=settings.engine_connect_timeout,
        silence=settings.engine_silence_timeout,
        check=settings.engine_check_timeout,
        load=settings.model_load_timeout,
    )

    def connect(spec: EngineSpec) -> Engine:
        if spec.provider_type == "koboldai":
            return KoboldEngine(spec, timeouts)
        if spec.provider_type == "vllm":
            return VllmEngine(spec, timeouts, catalogue.chat_template)
        return OpenAIEngine(spec, timeouts)

    limits = PoolLimits(
        queue=settings.engine_queue_limit,
        queue_seconds=settings.engine_queue_timeout,
        patience=settings.engine_patience,
        check_interval=settings.engine_check_interval,
        breaker_failures=settings.breaker_failures,
        breaker_cooldown=settings.breaker_cooldown,
    )
    return EnginePool(catalogue, connect, limits)


async def _declare_engines(database: Database, settings: RouterSettings) -> None:
    async with database.transaction() as connection:
        if await engines.declare_engines(connection, settings.engines):
            selection = await engines.read_selection(connection)
            await configuration.tell(connection, selection.revision)


async def _reseal_tokens(database: Database, vault: TokenVault) -> None:
    """Once a new key is the first, nothing is left that needs the old one."""
    async with database.transaction() as connection:
        number = await engines.reseal_tokens(connection, vault.resealed)
    if number:
        _log.info("tokens_resealed", number=number)


if __name__ == "__main__":
    run(NAME, RouterSettings, build)
