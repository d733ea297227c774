"""The NATS configuration of deploy/k8s, on three real servers of this machine."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError

from common.bus import Bus, BusDown
from common.provision import provision_streams
from common.settings import ServiceSettings
from contracts.topology import ACCESS, STREAMS
from embedded.programs import script
from tests.deploy.manifests import K8S

PASSWORDS = {"PROVISIONER_NATS_PASSWORD": "pa"} | {f"{a.service.upper()}_NATS_PASSWORD": "pb" for a in ACCESS}
PATIENCE = 60.0


@dataclass
class Cluster:
    processes: list["subprocess.Popen[bytes]"]
    url: str


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _here(folder: Path, number: int, clients: list[int], routes: list[int]) -> Path:
    """The configuration as it is, but for addresses and paths, which are the pod's."""
    text = (K8S / "nats.conf").read_text()
    moved = {
        "port: 4222": f'listen: "127.0.0.1:{clients[number]}"',
        "http_port: 8222": "",
        "port: 6222": f'listen: "127.0.0.1:{routes[number]}"',
        "/run/nats/nats.pid": str(folder / f"{number}.pid"),
        "store_dir: /data": f'store_dir: "{folder / str(number)}"',
        **{f"nats-{other}.nats-servers:6222": f"127.0.0.1:{port}" for other, port in enumerate(routes)},
    }
    for there, here in moved.items():
        assert text.count(there) == 1
        text = text.replace(there, here)
    (folder / "users.conf").write_text((K8S / "users.conf").read_text())
    file = folder / f"{number}.conf"
    file.write_text(text)
    return file


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    ports = _free_ports(6)
    clients, routes = ports[:3], ports[3:]
    processes = [
        subprocess.Popen(
            [script("nats-server"), "--config", str(_here(tmp_path, number, clients, routes))],
            env={"PATH": os.defpath, "SERVER_NAME": f"nats-{number}", **PASSWORDS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(3)
    ]
    yield Cluster(processes, ",".join(f"nats://127.0.0.1:{port}" for port in clients))
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
async def provisioned(cluster: Cluster) -> Cluster:
    """Once the servers have found each other and chosen a leader."""
    async with asyncio.timeout(PATIENCE):
        while not await _has_leader(cluster):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    await provision_streams(cluster.url, "platform", "pa", replicas=3)
    return cluster


async def _has_leader(cluster: Cluster) -> bool:
    try:
        client = await nats.connect(servers=cluster.url.split(","), user="platform", password="pa", connect_timeout=1)
    except (OSError, NatsError):
        return False
    try:
        await client.jetstream(timeout=0.3).account_info()
        return True
    except (NatsError, TimeoutError):
        return False
    finally:
        await client.close()


@pytest.fixture
async def orchestrating(provisioned: Cluster) -> AsyncIterator[Bus]:
    settings = ServiceSettings(nats_url=provisioned.url, nats_user="orchestrator", nats_password="pb")
    bus = await Bus.connect(settings, "orchestrator")
    yield bus
    await bus.close()


async def test_what_was_told_outlives_a_server_and_is_kept_once(provisioned: Cluster, orchestrating: Bus) -> None:
    async def tell(message_id: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    told = [("events.orchestrator.job.ended", b"{}", {}, message_id)]
                    await orchestrating.publish_raw_many(told)
                    return
                except BusDown:
                    await asyncio.sleep(0.05)

    await tell("before")
    client = await nats.connect(servers=provisioned.url.split(","), user="platform", password="pa")
    context = client.jetstream(timeout=PATIENCE)
    assert {(await context.stream_info(stream.name)).config.num_replicas for stream in STREAMS} == {3}
    cluster = (await context.stream_info("EVENTS")).cluster
    assert cluster is not None
    assert cluster.leader is not None
    provisioned.processes[int(cluster.leader.removeprefix("nats-"))].send_signal(signal.SIGKILL)
    await tell("before")
    await tell("after")
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                assert (await client.jetstream(timeout=2).stream_info("EVENTS")).state.messages == 2
                break
            except (NatsError, TimeoutError):
                await asyncio.sleep(0.1)
    await client.close()
