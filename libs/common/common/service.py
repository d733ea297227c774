"""The shell every service runs in: settings, telemetry, admin server, connections, signals and an orderly end."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from common.bus import Bus
from common.database import Database
from common.objects import Objects, ObjectStore
from common.settings import ServiceSettings
from common.telemetry import Counter, Gauge, configure_logging, get_logger
from common.tracing import configure_tracing, shutdown_tracing

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Check = Callable[[], Awaitable[None]]
Build = Callable[["Service", SettingsT], Coroutine[Any, Any, None]]

_log = get_logger("service")
_CHECK_SECONDS = 2.0
_CANCEL_SECONDS = 1.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
_WORKED_SECONDS = 60.0
"""What ran for so long before it crashed is started again as quickly as the first time."""
_ALLOCATIONS = 10_000
"""Objects that may appear before the garbage collector looks through the new ones; Python's own 700 is a request's."""
_RESTARTS = Counter("service_background_restarts_total", "Background tasks started again after a crash", ["task"])
_PART_UP = Gauge("service_part_up", "Whether a part that the service needs answers it, as of this scrape", ["part"])


class Service:
    """What a composition root builds on. Everything it opens is closed in reverse order when the service ends."""

    def __init__(self, name: str, settings: ServiceSettings) -> None:
        self.name = name
        self.settings = settings
        self.stack = AsyncExitStack()
        self.started = False
        """Whether it takes work: from when all is built until it is told to end."""
        self._checks: dict[str, Check] = {}

    async def bus(self) -> Bus:
        """Connects to the bus as this service."""
        bus = await Bus.connect(self.settings, self.name)
        self.stack.push_async_callback(bus.close)
        self.add_check("nats", bus.ping)
        return bus

    async def database(self, package: str, *, plan_once: bool = False) -> Database:
        """Connects to Postgres and brings this service's schema up to date with the migrations of `package`."""
        settings = self.settings
        url = settings.database_url.get_secret_value()
        database = await Database.connect(url, self.name, size=settings.database_pool_size, plan_once=plan_once)
        self.stack.push_async_callback(database.close)
        await database.migrate(package)
        self.add_check("postgres", database.ping)
        return database

    def object_store(self) -> ObjectStore:
        return ObjectStore(Objects.from_settings(self.settings))

    def add_check(self, name: str, check: Check) -> None:
        """Makes `/readyz` ask `check`, which raises when its part is not there."""
        self._checks[name] = check

    def spawn(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `work` in the background until the service ends; a crash is logged and it starts again."""
        _RESTARTS.labels(name)
        task = asyncio.create_task(self._forever(name, work), name=name)

        async def stop() -> None:
            # `asyncio.wait_for` before Python 3.12, which nats-py awaits in, may swallow a cancellation.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_CANCEL_SECONDS)

        self.stack.push_async_callback(stop)

    async def _forever(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            try:
                await work()
                return
            except Exception:
                if time.monotonic() - started > _WORKED_SECONDS:
                    pause = _FIRST_PAUSE_SECONDS
                _RESTARTS.labels(name).inc()
                _log.exception("background_task_crashed", task=name, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def readiness(self, exclude: Collection[str] = ()) -> dict[str, str]:
        """The state of each part but those to `exclude`: `ok`, or what is wrong with it."""

        async def state(name: str, check: Check) -> str:
            up = False
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await check()
                up = True
                return "ok"
            except Exception as error:
                return str(error) or type(error).__name__
            finally:
                _PART_UP.labels(name).set(up)

        # A service that still starts may gain a part while the others are asked.
        checks = {name: check for name, check in self._checks.items() if name not in exclude}
        states = await asyncio.gather(*(state(name, check) for name, check in checks.items()))
        return dict(zip(checks, states, strict=True))


@asynccontextmanager
async def running(name: str, settings: SettingsT, build: Build[SettingsT]) -> AsyncIterator[Service]:
    """A service inside this process, for as long as the block lasts. Tests use it; `run` adds signals and telemetry."""
    service = Service(name, settings)
    async with service.stack:
        await build(service, settings)
        service.started = True
        yield service


def run(name: str, settings_type: type[SettingsT], build: Build[SettingsT]) -> None:
    """Runs a service as this process until SIGINT or SIGTERM, then ends it in order."""
    settings = _read_settings(name, settings_type)
    configure_logging(name, settings.log_level)
    configure_tracing(name, settings.trace_ratio)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(name, settings, build))
    except Exception:
        _log.exception("service_failed")
        sys.exit(1)
    finally:
        shutdown_tracing()


def _read_settings(name: str, settings_type: type[SettingsT]) -> SettingsT:
    """Settings that make no sense end the process, with status 2 and a line that names them."""
    try:
        return settings_type()
    except ValidationError as error:
        configure_logging(name)
        wrong = {f"PLATFORM_{'__'.join(map(str, e['loc'])).upper()}": e["msg"] for e in error.errors()}
        _log.error("settings_invalid", **wrong)
        sys.exit(2)


async def _main(name: str, settings: SettingsT, build: Build[SettingsT]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    service = Service(name, settings)
    async with service.stack:
        port = await _serve_admin(service)
        starting = asyncio.create_task(build(service, settings))
        await asyncio.wait({starting, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            service.started = True
            _spare_what_stays()
            _log.info("service_ready", admin_port=port)
            await stopping.wait()
        else:
            starting.cancel()
        # Whoever balances requests hears of it while the last ones are still answered.
        service.started = False
        _log.info("service_stopping")


def _spare_what_stays() -> None:
    """Modules, contracts and tables stay to the end: the garbage collector need not look through them all the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)


async def _serve_admin(service: Service) -> int:
    """`/metrics`, `/healthz` (the process is alive) and `/readyz` (it can do its work); returns the port.

    `/readyz?exclude=postgres` leaves a part out, as Kubernetes' own does: for who can do without it for a while.
    """

    async def metrics(_: web.Request) -> web.Response:
        await service.readiness()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": service.name})

    async def readyz(request: web.Request) -> web.Response:
        checks = await service.readiness(request.query.getall("exclude", ()))
        ready = service.started and all(state == "ok" for state in checks.values())
        body = {"status": "ready" if ready else "not ready", "service": service.name, "checks": checks}
        return web.json_response(body, status=200 if ready else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    service.stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, service.settings.admin_host, service.settings.admin_port).start()
    address: tuple[str, int] = runner.addresses[0]
    return address[1]
