"""What the gateway's handlers work with, made once by `main.py`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from common.bus import Bus
from common.database import Database
from common.objects import ObjectStore
from common.outbox import OutboxRelay
from gateway.callers import Callers
from gateway.edge.admission import Admission
from gateway.endings import Endings
from gateway.health import HealthMonitor
from gateway.keyring import Keyring
from gateway.limits import Proxies, Rates
from gateway.people.passwords import Passwords
from gateway.people.sessions import Sessions
from gateway.people.tickets import Tickets
from gateway.settings import GatewaySettings
from gateway.uploading import Uploading
from gateway.watching import Closing, RunEvents


@dataclass(frozen=True)
class Deps:
    """`following` are the event streams being sent, and `sockets` what decides why open WebSockets are closed.

    All of them end at once when the gateway does: their clients come back.
    """

    settings: GatewaySettings
    bus: Bus
    database: Database
    objects: ObjectStore
    relay: OutboxRelay
    keyring: Keyring
    callers: Callers
    admission: Admission
    rates: Rates
    proxies: Proxies
    passwords: Passwords
    sessions: Sessions
    tickets: Tickets
    endings: Endings
    run_events: RunEvents
    uploading: Uploading
    health: HealthMonitor
    readiness: Callable[[], Awaitable[dict[str, str]]]
    following: set["asyncio.Task[object]"] = field(default_factory=set)
    sockets: set["asyncio.Future[Closing]"] = field(default_factory=set)
