"""The two connections of a service: a wire for all that it says, and a general client to read JetStream with.

Both wait for the server at the start and come back by themselves for ever after.
"""

import asyncio
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from common.bus.wire import Login, Wire
from common.settings import ServiceSettings
from common.telemetry import get_logger
from contracts.topology import inbox_prefix

_log = get_logger("bus")


async def connect_wire(settings: ServiceSettings, service: str) -> Wire:
    """Connects as the user of `service`, waiting a while for NATS to be there. Raises TimeoutError."""
    servers = settings.nats_url.split(",")
    return await Wire.connect(Login(servers, service, settings.nats_user, settings.nats_password.get_secret_value()))


async def connect_reader(settings: ServiceSettings, service: str, *, patience: float = 60.0) -> Client:
    """As `connect_wire`, with nats-py."""
    options: dict[str, Any] = {
        "servers": settings.nats_url.split(","),
        "name": service,
        "inbox_prefix": inbox_prefix(service),
        # The default gives up after 60 tries and closes for good.
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "ping_interval": 20,
        "error_cb": _on_error,
        "disconnected_cb": _on_disconnect,
        "reconnected_cb": _on_reconnect,
    }
    if settings.nats_user:
        options |= {"user": settings.nats_user, "password": settings.nats_password.get_secret_value()}
    async with asyncio.timeout(patience):
        while True:
            client = Client()
            try:
                # A first connection with unlimited tries would never return; `patience` bounds it instead.
                await client.connect(**(options | {"allow_reconnect": True, "connect_timeout": 2}))
                return client
            except (OSError, TimeoutError, NatsError, nats.errors.NoServersError) as error:
                _log.info("waiting_for_nats", error=type(error).__name__)
                await asyncio.sleep(0.25)


async def _on_error(error: Exception) -> None:
    # A forbidden publish reaches us only here: the publisher itself just times out.
    _log.warning("nats_error", error=str(error) or type(error).__name__)


async def _on_disconnect() -> None:
    _log.info("nats_disconnected")


async def _on_reconnect() -> None:
    _log.info("nats_reconnected")
