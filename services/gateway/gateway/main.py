"""The gateway's composition root: settings, connections, background work, and the HTTP server last."""

from functools import partial

from common.allowances import Allowances
from common.outbox import OutboxRelay
from common.service import Service, run
from contracts.gateway import ALLOWANCE_WANTED
from gateway.app import create_app, serve
from gateway.callers import CALLERS, Callers
from gateway.deps import Deps
from gateway.edge.access import Doorkeeper
from gateway.edge.admission import Admission
from gateway.endings import Endings
from gateway.health import HealthMonitor
from gateway.keyring import Keyring
from gateway.limits import Proxies, Rates
from gateway.people.first import make_first_user
from gateway.people.passwords import Passwords
from gateway.people.sessions import Sessions
from gateway.people.tickets import Tickets
from gateway.settings import GatewaySettings
from gateway.uploading import Uploading
from gateway.watching import RunEvents


async def build(service: Service, settings: GatewaySettings) -> None:
    database = await service.database("gateway")
    bus = await service.bus()
    objects = service.object_store()
    keyring = Keyring(database, bus)
    await keyring.reload()
    relay = OutboxRelay(database, bus)
    endings = Endings(bus)
    allowances = Allowances(database, bus, ALLOWANCE_WANTED, strict=False)
    service.stack.push_async_callback(allowances.close)
    rates, proxies = Rates(allowances, settings), Proxies(settings.trusted_proxies)
    sessions = Sessions(database, bus, settings.session_idle_seconds)
    tickets = Tickets(database, settings.ticket_seconds)
    run_events = RunEvents(bus, most_bytes=settings.watching_bytes)
    passwords = Passwords()
    await make_first_user(database, passwords, settings.admin_password)
    uploading = Uploading(database, objects, bus)
    callers = Callers(settings.admin_key, keyring, database)
    deps = Deps(
        settings=settings,
        bus=bus,
        database=database,
        objects=objects,
        relay=relay,
        keyring=keyring,
        callers=callers,
        admission=Admission(Doorkeeper(settings.admin_key, keyring, sessions, tickets), rates, proxies),
        rates=rates,
        proxies=proxies,
        passwords=passwords,
        sessions=sessions,
        tickets=tickets,
        endings=endings,
        run_events=run_events,
        uploading=uploading,
        health=HealthMonitor(bus, database, objects),
        readiness=service.readiness,
    )
    service.spawn("outbox", relay.run)
    service.spawn("keys", keyring.follow_changes)
    service.spawn("keys-again", partial(keyring.reload_every, settings.keys_reload_seconds))
    service.spawn("endings", endings.run)
    service.spawn("run-events", run_events.run)
    service.spawn("uploads", uploading.run)
    service.spawn("people", sessions.follow_changes)
    service.spawn("limits", allowances.sweep)
    service.spawn("limits-wanted", allowances.follow_wanted)
    await bus.serve(CALLERS, callers)
    await serve(service, create_app(deps), deps)


if __name__ == "__main__":
    run("gateway", GatewaySettings, build)
