"""The real servers: each service reaches what is its own and nothing else; a second start finds its data."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamInfo
from urllib3.util import parse_url

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.topology import ACCESS, CONSUMERS, STREAMS
from embedded.endpoints import Endpoints, ServiceAccess
from embedded.identity import unprivileged
from embedded.servers import start_servers
from embedded.tether import tethered


@asynccontextmanager
async def nats_as(access: ServiceAccess) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection as that user, and what the server complains of."""
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    client = await nats.connect(
        access.nats_url,
        user=access.nats_user,
        password=access.nats_password,
        inbox_prefix=access.nats_inbox_prefix,
        error_cb=complain,
    )
    try:
        yield client, complaints
    finally:
        await client.close()


async def complaints_of(client: Client, complaints: list[str]) -> str:
    await client.flush()
    await asyncio.sleep(0.05)
    return " ".join(complaints)


def objects_as(access: ServiceAccess) -> Objects:
    return Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key)


# Postgres


@pytest.mark.parametrize("service", [access.service for access in ACCESS])
async def test_a_role_owns_its_own_schema(servers: Endpoints, service: str):
    connection = await asyncpg.connect(servers[service].database_url)
    try:
        assert await connection.fetchval("SELECT current_schema()") == service
        await connection.execute("CREATE TABLE own (id int)")
        await connection.execute("DROP TABLE own")
    finally:
        await connection.close()


async def test_a_role_cannot_read_the_schema_of_another(servers: Endpoints):
    orchestrator = await asyncpg.connect(servers["orchestrator"].database_url)
    registry = await asyncpg.connect(servers["registry"].database_url)
    try:
        await orchestrator.execute("CREATE TABLE private (id int)")
        for statement in (
            "SELECT * FROM orchestrator.private",
            "CREATE TABLE orchestrator.intruder (id int)",
            "CREATE TABLE public.litter (id int)",
            "CREATE SCHEMA mine",
            "SET ROLE orchestrator",
            "SELECT pg_read_file('/etc/passwd')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await registry.execute(statement)
    finally:
        await orchestrator.execute("DROP TABLE private")
        await orchestrator.close()
        await registry.close()


async def test_a_role_enters_with_its_own_password_alone(servers: Endpoints):
    address = parse_url(servers["registry"].database_url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=address.host, port=address.port, user="orchestrator", password="guess", database="platform"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="matters under root alone")
async def test_under_root_postgres_runs_as_somebody_else(servers: Endpoints):
    connection = await asyncpg.connect(servers.administrator.database_url)
    try:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        for path in (await connection.fetchval("SHOW data_directory"), f"/proc/{pid}"):
            assert os.stat(path).st_uid != 0  # noqa: PTH116
    finally:
        await connection.close()


# NATS


async def test_streams_and_consumers_of_the_topology_are_there(servers: Endpoints):
    async with nats_as(servers.administrator) as (client, _):
        context = client.jetstream()
        found: list[StreamInfo] = await context.streams_info()
        assert {info.config.name for info in found} >= {stream.name for stream in STREAMS}
        for consumer in CONSUMERS:
            assert await context.consumer_info(consumer.event.stream, consumer.name)


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("gateway", "work.v1.step.ready"),
        ("gateway", "events.orchestrator.run.finished"),
        ("gateway", "$JS.API.STREAM.DELETE.EVENTS"),
        ("registry", "orchestrator.v1.jobs.cancel"),
        ("trainer", "router.v1.config.update"),
        ("trainer", "registry.v1.models.delete"),
    ],
)
async def test_a_user_may_not_publish_what_is_not_its_own(servers: Endpoints, service: str, subject: str):
    async with nats_as(servers[service]) as (client, complaints):
        await client.publish(subject, b"{}")
        assert "permissions violation" in (await complaints_of(client, complaints)).lower()


@pytest.mark.parametrize("subject", ["_INBOX_gateway.>", "registry.v1.>", "events.>", ">"])
async def test_a_user_may_not_listen_where_others_are_spoken_to(servers: Endpoints, subject: str):
    async with nats_as(servers["trainer"]) as (client, complaints):
        await client.subscribe(subject)
        assert "permissions violation" in (await complaints_of(client, complaints)).lower()


async def test_a_stranger_may_not_connect(servers: Endpoints):
    with pytest.raises(nats.errors.Error):
        await nats.connect(
            servers.nats_url, user="gateway", password="guess", allow_reconnect=False, max_reconnect_attempts=1
        )


async def test_a_whole_conversation_fits_in_one_message(servers: Endpoints):
    async with nats_as(servers["gateway"]) as (client, _):
        assert client.max_payload >= 8 * 1024 * 1024


# S3


def test_an_identity_reaches_its_own_buckets_alone(servers: Endpoints):
    trainer, router, orchestrator = (objects_as(servers[name]) for name in ("trainer", "llm_router", "orchestrator"))
    dataset, artifact = S3Path("datasets", "embedded/x"), S3Path("artifacts", "embedded/x")
    trainer.put_bytes(dataset, b"rows")
    trainer.put_bytes(artifact, b"weights")
    assert router.get_bytes(artifact) == b"weights"
    for act in (
        lambda: router.get_bytes(dataset),
        lambda: router.put_bytes(dataset, b"forged"),
        lambda: router.list(S3Path("datasets", "embedded/")),
        lambda: orchestrator.get_bytes(artifact),
        lambda: trainer.put_bytes(S3Path("elsewhere", "x"), b""),
        lambda: trainer.ensure_bucket("elsewhere"),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code in (RefusalCode.STORAGE_FAILED, RefusalCode.NOT_FOUND)
    assert trainer.get_bytes(dataset) == b"rows"


def test_a_wrong_secret_key_is_refused(servers: Endpoints):
    with pytest.raises(Refused):
        Objects(servers.s3_endpoint, "trainer", "guess").get_bytes(S3Path("artifacts", "embedded/x"))


# Starting


async def test_a_second_start_finds_its_data(tmp_path: Path):
    path = S3Path("artifacts", "kept")
    with start_servers(tmp_path, fsync=True) as first:
        connection = await asyncpg.connect(first["registry"].database_url)
        await connection.execute("CREATE TABLE kept AS SELECT 'row' AS value")
        await connection.close()
        objects_as(first["trainer"]).put_bytes(path, b"object")
        async with nats_as(first["registry"]) as (client, _):
            await client.jetstream().publish("events.registry.kept", b"event")
    with start_servers(tmp_path, fsync=True) as second:
        assert second == first
        connection = await asyncpg.connect(second["registry"].database_url)
        assert await connection.fetchval("SELECT value FROM kept") == "row"
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.close()
        assert objects_as(second["trainer"]).get_bytes(path) == b"object"
        async with nats_as(second.administrator) as (client, _):
            message = await client.jetstream().get_last_msg("EVENTS", "events.registry.kept")
            assert message.data == b"event"


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it when not run as root")
def test_the_servers_start_as_a_plain_user_too(tmp_path: Path):
    identity = unprivileged(Path(sys.executable), tmp_path)
    assert identity is not None
    data = tmp_path / "data"
    data.mkdir()
    identity.take_over(data)
    program = (
        "import sys, os; from pathlib import Path; from embedded.servers import start_servers\n"
        "with start_servers(Path(sys.argv[1])) as endpoints: print(os.geteuid(), endpoints.nats_url)"
    )
    done = subprocess.run(
        tethered([sys.executable, "-c", program, str(data)], identity=identity),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(data)},
    )
    assert done.stdout.startswith(f"{identity.uid} nats://"), done.stderr
