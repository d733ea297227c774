"""The gateway's composition root: settings, connections, background work, and the HTTP server last."""

from functools import partial

from common.outbox import OutboxRelay
from common.service import Service, run
from gateway.app import create_app, serve
from gateway.deps import Deps
from gateway.edge.access import Doorkeeper
from gateway.endings import Endings
from gateway.health import HealthMonitor
from gateway.keyring import Keyring
from gateway.settings import GatewaySettings


async def build(service: Service, settings: GatewaySettings) -> None:
    database = await service.database("gateway")
    bus = await service.bus()
    objects = service.object_store()
    keyring = Keyring(database, bus)
    await keyring.reload()
    relay = OutboxRelay(database, bus)
    endings = Endings(bus)
    deps = Deps(
        settings=settings,
        bus=bus,
        database=database,
        objects=objects,
        relay=relay,
        keyring=keyring,
        doorkeeper=Doorkeeper(settings.admin_key, keyring),
        endings=endings,
        health=HealthMonitor(bus, database, objects),
        readiness=service.readiness,
    )
    service.spawn("outbox", relay.run)
    service.spawn("keys", keyring.follow_changes)
    service.spawn("keys-again", partial(keyring.reload_every, settings.keys_reload_seconds))
    service.spawn("endings", endings.run)
    await serve(service, create_app(deps), deps)


if __name__ == "__main__":
    run("gateway", GatewaySettings, build)
