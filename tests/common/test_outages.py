"""Servers that die while services run: everything comes back by itself, and nothing that was told is missed."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from common import outbox
from common.bus import Bus, BusDown, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from common.settings import ServiceSettings
from contracts import orchestrator, registry
from contracts.base import Refused
from contracts.orchestrator import JobEnded
from contracts.registry import Dataset, GetDataset
from contracts.router import (
    CHAT_STREAM,
    INTERACTIONS_RECORDED,
    Chat,
    ChatDelta,
    ChatMessage,
    ChatReply,
    Interactions,
)
from embedded.log import Log
from embedded.ports import choose
from embedded.servers import Servers, port_requests
from embedded.supervisor import Supervisor

ResultT = TypeVar("ResultT")


class Machine:
    """Servers of their own, which a test may kill; they start again as under `make run`."""

    def __init__(self, servers: Servers, supervisor: Supervisor) -> None:
        self._servers = servers
        self._supervisor = supervisor

    def settings(self, service: str) -> ServiceSettings:
        access = self._servers.endpoints[service]
        return ServiceSettings(
            nats_url=access.nats_url,
            nats_user=access.nats_user,
            nats_password=access.nats_password,
            database_url=access.database_url,
        )

    def signal(self, name: str, number: signal.Signals) -> int:
        pid = self._supervisor.processes[name].pid
        assert pid is not None
        os.kill(pid, number)
        return pid

    async def restart(self, name: str) -> None:
        """Kills it, and returns once it is there again."""
        old = self.signal(name, signal.SIGKILL)
        process = self._supervisor.processes[name]
        async with asyncio.timeout(30):
            while process.pid in (None, old):  # noqa: ASYNC110 - what it waits for is a process
                await asyncio.sleep(0.02)
        await asyncio.to_thread(self._supervisor.wait_ready, 30, name)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("outages")
    with (directory / "servers.log").open("a") as stream:
        supervisor = Supervisor(Log(stream, colour=False, debug=True))
        servers = Servers.of(directory, choose(port_requests(), directory / "ports.json"), fsync=False)
        try:
            servers.launch(supervisor)
            servers.provision(supervisor)
            yield Machine(servers, supervisor)
        finally:
            supervisor.stop()


@pytest.fixture
async def teller(machine: Machine) -> AsyncIterator[Bus]:
    bus = await Bus.connect(machine.settings("orchestrator"), "orchestrator")
    yield bus
    await bus.close()


@pytest.fixture
async def listener(machine: Machine) -> AsyncIterator[Bus]:
    bus = await Bus.connect(machine.settings("gateway"), "gateway")
    yield bus
    await bus.close()


async def insist(work: Callable[[], Awaitable[ResultT]], *, within: float = 20.0) -> ResultT:
    """What `work` gives once the server is back."""
    async with asyncio.timeout(within):
        while True:
            with suppress(BusDown, Refused):
                return await work()
            await asyncio.sleep(0.05)


def ended() -> JobEnded:
    run_id = uuid.uuid4().hex
    return JobEnded(job_id=f"job_{run_id}", run_id=run_id, status="completed")


async def test_who_follows_from_now_on_misses_nothing_while_the_bus_restarts(
    machine: Machine, teller: Bus, listener: Bus
) -> None:
    following = asyncio.create_task(anext(listener.follow(orchestrator.JOB_ENDED)))
    await asyncio.sleep(0.5)
    await machine.restart("nats")
    body = ended()
    await insist(lambda: teller.publish(orchestrator.JOB_ENDED, body, message_id=body.run_id))
    assert (await asyncio.wait_for(following, 20)).body == body


async def test_questions_are_answered_again_once_the_bus_is_back(machine: Machine, listener: Bus) -> None:
    table = Handlers[None]()

    @table.on(registry.GET_DATASET)
    async def get_dataset(_: None, request: GetDataset) -> Dataset:
        raise KeyError

    answering = await Bus.connect(machine.settings("registry"), "registry")
    await answering.serve(table, None)
    await machine.restart("nats")

    async def answered() -> bool:
        try:
            await listener.ask(registry.GET_DATASET, GetDataset(dataset_id="a"), timeout=1)
        except Refused as refused:
            if refused.code != "internal_error":
                raise
        return True

    assert await insist(answered)
    await answering.close()


class Door:
    """A way to NATS of one's own, which may be shut."""

    def __init__(self, nats_url: str) -> None:
        self._to = urlsplit(nats_url)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._open |= {writer, outer}
        await asyncio.gather(_pour(reader, outer), _pour(inner, writer))
        self._open -= {writer, outer}


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


async def test_an_answer_goes_on_though_its_caller_comes_back_from_an_outage_later_than_its_maker(
    machine: Machine,
) -> None:
    go_on, told, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    left: list[str] = []
    table = Handlers[None]()

    @table.on_stream(CHAT_STREAM)
    async def stream(_: None, chat: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
        try:
            yield ChatDelta(content="One")
            await go_on.wait()
            yield ChatDelta(content=" two")
            told.set()
            await ended.wait()
        except BaseException as error:
            left.append(type(error).__name__)
            raise

    answering = await Bus.connect(machine.settings("llm_router"), "llm_router")
    await answering.serve(table, None)
    settings = machine.settings("gateway")
    door = Door(settings.nats_url)
    await door.open()
    asking = await Bus.connect(settings.model_copy(update={"nats_url": door.url}), "gateway")
    question = Chat(model="m", messages=[ChatMessage(role="user", content="Hello")])
    async with aclosing(asking.stream(CHAT_STREAM, question)) as items:
        await anext(items)
        door.shut()
        await machine.restart("nats")
        # The maker is back and says more, which nobody hears: the server tells it so before it takes what comes next.
        await insist(answering.ping)
        go_on.set()
        await told.wait()
        nothing = Interactions(interactions=[])
        await insist(lambda: answering.publish(INTERACTIONS_RECORDED, nothing, message_id=uuid.uuid4().hex))
        await door.open()
        await insist(asking.ping)
        assert left == []
    async with asyncio.timeout(20):
        while not left:  # noqa: ASYNC110 - a caller that says that it leaves is heard in moments
            await asyncio.sleep(0.02)
    await asking.close()
    door.shut()
    await answering.close()


async def test_what_cannot_be_told_is_known_at_once(machine: Machine, teller: Bus) -> None:
    machine.signal("nats", signal.SIGKILL)
    async with asyncio.timeout(5):
        while teller._wire.is_connected:  # noqa: ASYNC110 - it notices by itself
            await asyncio.sleep(0.01)
    started = time.monotonic()
    body = ended()
    with pytest.raises(BusDown):
        await teller.publish(orchestrator.JOB_ENDED, body, message_id=body.run_id)
    assert time.monotonic() - started < 1
    await insist(lambda: teller.publish(orchestrator.JOB_ENDED, body, message_id=body.run_id))


async def test_a_service_ends_in_time_while_the_bus_is_away(machine: Machine) -> None:
    table = Handlers[None]()

    @table.on(registry.GET_DATASET)
    async def get_dataset(_: None, request: GetDataset) -> Dataset:
        raise KeyError

    answering = await Bus.connect(machine.settings("registry"), "registry")
    await answering.serve(table, None)
    machine.signal("nats", signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            await answering.close(grace=1)
    finally:
        machine.signal("nats", signal.SIGCONT)


async def test_events_are_told_once_both_servers_are_back(machine: Machine, teller: Bus, listener: Bus) -> None:
    settings = machine.settings("orchestrator")
    database = await Database.connect(settings.database_url.get_secret_value(), "orchestrator", size=2)
    await database.migrate("common")
    relaying = asyncio.create_task(OutboxRelay(database, teller).run())
    following = asyncio.create_task(anext(listener.follow(orchestrator.JOB_ENDED)))
    await asyncio.sleep(0.5)
    await asyncio.gather(machine.restart("nats"), machine.restart("postgres"))
    body = ended()

    async def commit() -> None:
        async with database.transaction() as connection:
            await outbox.add(connection, orchestrator.JOB_ENDED, body, message_id=body.run_id)

    await insist(commit)
    assert (await asyncio.wait_for(following, 20)).body == body
    assert not relaying.done()
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    await database.close()
