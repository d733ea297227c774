"""The composition root of the registry: `python -m registry.main`."""

from common.outbox import OutboxRelay
from common.service import Service, run
from registry.curves import Curves
from registry.engine.inspector import Bounds, ProcessInspector
from registry.engine.storage import ObjectStorage
from registry.freeing import Freeing
from registry.handlers import HANDLERS, Deps
from registry.settings import Settings
from registry.sweeper import Sweeper

NAME = "registry"


async def build(service: Service, settings: Settings) -> None:
    database = await service.database(NAME)
    bus = await service.bus()
    objects = service.object_store()
    storage = ObjectStorage(objects)
    bounds = Bounds(
        at_once=settings.inspections,
        file_bytes=settings.max_dataset_bytes,
        memory_bytes=settings.inspection_memory_bytes,
        seconds=settings.inspection_seconds,
        limits=settings.limits,
    )
    relay = OutboxRelay(database, bus)
    freeing, curves = Freeing(database, storage, bus), Curves(database, bus)
    deps = Deps(
        database=database,
        relay=relay,
        inspector=ProcessInspector(objects, settings.data_dir / NAME, bounds),
        storage=storage,
        bus=bus,
        models_dir=settings.models_dir,
        freeing=freeing,
        curves=curves,
    )
    sweeper = Sweeper(database, storage, freeing, curves, interval=settings.sweep_interval, age=settings.orphan_age)
    service.spawn("relay", relay.run)
    service.spawn("sweeper", sweeper.run)
    await bus.serve(HANDLERS, deps)


if __name__ == "__main__":
    run(NAME, Settings, build)
