"""The composition root of the orchestrator: `python -m orchestrator.main`."""

from common.outbox import OutboxRelay
from common.service import Service, run
from orchestrator.deps import Deps
from orchestrator.handlers import HANDLERS
from orchestrator.log_keeper import LogKeeper
from orchestrator.reaper import Reaper
from orchestrator.settings import Settings

_DAY = 24 * 3600.0


async def build(service: Service, settings: Settings) -> None:
    database = await service.database("orchestrator")
    bus = await service.bus()
    relay = OutboxRelay(database, bus)
    deps = Deps(database=database, bus=bus, relay=relay, policy=settings.policy)
    keeper = LogKeeper(database, bus, retention=settings.log_retention_days * _DAY)
    service.spawn("relay", relay.run)
    service.spawn("reaper", Reaper(deps, interval=settings.reap_interval_seconds).run)
    service.spawn("log_writer", keeper.write)
    service.spawn("log_retention", keeper.expire)
    await bus.serve(HANDLERS, deps)


if __name__ == "__main__":
    run("orchestrator", Settings, build)
