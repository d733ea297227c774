"""The whole platform as `make run` starts it, with real servers and stand-ins for engines and services."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from embedded.endpoints import SERVICES, USERS, Endpoints
from embedded.errors import StartError
from embedded.platform import FREE_PORTS, Platform
from embedded.running import Running
from embedded.secrets import ADMIN_PASSWORD_FILE, Secrets
from embedded.services import ENGINES, LOCAL_ENGINE, admin_port_name

ALL = {"nats", "postgres", "s3", *ENGINES, *SERVICES}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, stand_ins: dict[str, str]) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("platform") / "data"
    with Platform(directory, {**FREE_PORTS, **stand_ins, "OTEL_SERVICE_NAMESPACE": "test"}) as platform:
        yield platform


def told(platform: Platform, port_name: str) -> Any:
    """The arguments and the environment that a stand-in was started with."""
    connection = HTTPConnection("127.0.0.1", platform.ports()[port_name], timeout=5)
    connection.request("GET", "/")
    return json.loads(connection.getresponse().read())


def environment_of(platform: Platform, service: str) -> dict[str, str]:
    environment: dict[str, str] = told(platform, admin_port_name(service))["environment"]
    return environment


def test_all_processes_run(platform: Platform, alive: Callable[[int], bool]):
    assert all(alive(platform.pid(name)) for name in ALL)
    assert set(platform.ports()) >= {"gateway", "nats", "postgres", "s3"}


def test_it_says_where_it_is_and_where_the_key_is_but_not_the_key(platform: Platform):
    log = platform.log_text
    assert f"LLM Platform is ready at {platform.url}" in log
    assert f"$(cat {platform.data_dir}/admin.key)" in log
    assert platform.admin_key not in log
    password = platform.data_dir / ADMIN_PASSWORD_FILE
    assert f"log in as admin; the first password is in {password}" in log
    assert password.read_text().strip() not in log


def test_what_holds_secrets_is_readable_for_the_owner_alone(platform: Platform):
    for name in ("admin.key", "secrets.json", "nats/nats.conf", "s3/identities.json"):
        assert stat.S_IMODE((platform.data_dir / name).stat().st_mode) == 0o600
    for name in ("nats", "postgres", "s3", "models", "adapters"):
        assert stat.S_IMODE((platform.data_dir / name).stat().st_mode) == 0o700


def test_no_secret_is_on_a_command_line(platform: Platform):
    secrets = Secrets.load(platform.data_dir, USERS)
    hidden = [*secrets.passwords.values(), secrets.encryption_key, platform.admin_key]
    for name in ALL:
        line = Path(f"/proc/{platform.pid(name)}/cmdline").read_text()
        assert not any(secret in line for secret in hidden), name


def test_each_service_is_told_its_own_passwords_alone(platform: Platform):
    secrets = Secrets.load(platform.data_dir, USERS)
    for service in SERVICES:
        values = " ".join(environment_of(platform, service).values())
        for server, user in USERS:
            assert (secrets.password(server, user) in values) == (user == service)


def test_the_administrators_key_is_told_to_the_gateway_alone(platform: Platform):
    assert environment_of(platform, "gateway")["PLATFORM_ADMIN_KEY"] == platform.admin_key
    password = (platform.data_dir / ADMIN_PASSWORD_FILE).read_text().strip()
    assert environment_of(platform, "gateway")["PLATFORM_ADMIN_PASSWORD"] == password
    for service in SERVICES[1:]:
        assert "PLATFORM_ADMIN_KEY" not in environment_of(platform, service)
        assert "PLATFORM_ADMIN_PASSWORD" not in environment_of(platform, service)


def test_the_router_is_told_which_engines_there_are(platform: Platform):
    environment = environment_of(platform, "llm_router")
    engines = json.loads(environment["PLATFORM_ENGINES"])
    assert [(engine["name"], engine["provider_type"]) for engine in engines] == [
        ("local", "local"),
        ("Simulated LLM 1 (small)", "simulated"),
        ("Simulated LLM 2 (medium)", "simulated"),
    ]
    assert [engine["port"] for engine in engines] == [platform.ports()[name] for name in ENGINES]
    local = told(platform, LOCAL_ENGINE)["argv"]
    assert environment["PLATFORM_ADAPTER_DIR"] == local[local.index("--adapter-dir") + 1]
    assert environment_of(platform, "trainer")["PLATFORM_MODELS_DIR"] == local[local.index("--models-dir") + 1]


def test_variables_of_telemetry_reach_services_and_engines(platform: Platform):
    assert environment_of(platform, "registry")["OTEL_SERVICE_NAMESPACE"] == "test"
    assert told(platform, LOCAL_ENGINE)["environment"]["OTEL_SERVICE_NAMESPACE"] == "test"


def test_a_second_platform_on_the_same_data_is_refused(platform: Platform):
    second = Platform(platform.data_dir, FREE_PORTS)
    with pytest.raises(StartError, match=r"already runs on .*\(process \d+\)"):
        second.start(timeout=10)
    assert platform.pid("gateway")


def test_a_second_platform_on_other_data_runs_beside_it(platform: Platform, tmp_path: Path, stand_ins: dict[str, str]):
    with Platform(tmp_path / "data", {**FREE_PORTS, **stand_ins}) as other:
        assert other.url != platform.url
        assert other.admin_key != platform.admin_key


@pytest.mark.parametrize("name", ["trainer", LOCAL_ENGINE])
def test_a_killed_process_is_started_again(platform: Platform, name: str):
    others = {other: platform.pid(other) for other in ALL - {name}}
    old = platform.kill(name)
    assert platform.wait_restarted(name, old, timeout=10) != old
    assert {other: platform.pid(other) for other in others} == others


async def test_a_killed_postgres_comes_back_at_its_place_with_its_data(platform: Platform):
    endpoints = Endpoints.of(platform.ports(), Secrets.load(platform.data_dir, USERS))
    url = endpoints["registry"].database_url
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    connection.terminate()
    platform.wait_restarted("postgres", platform.kill("postgres"), timeout=10)
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = await asyncpg.connect(url)
            break
        except (OSError, asyncpg.CannotConnectNowError):
            assert time.monotonic() < deadline
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.close()


def test_after_a_stop_nothing_runs_and_a_start_finds_its_data(
    platform: Platform, alive: Callable[[int], bool], eventually: Callable[..., None]
):
    pids = [platform.pid(name) for name in ALL]
    ports, key = platform.ports(), platform.admin_key
    assert platform.stop() == 0
    assert not any(alive(pid) for pid in pids)
    assert Running.read(platform.data_dir) is None
    platform.start()
    assert platform.admin_key == key
    assert platform.ports() == ports


def test_nothing_survives_a_platform_that_is_killed(
    platform: Platform, alive: Callable[[int], bool], eventually: Callable[..., None]
):
    running = Running.read(platform.data_dir)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in running.pids.values()))
    platform.stop()
    platform.start()
    assert platform.pid("gateway")


# The command line


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "embedded", "run"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_port_that_is_taken_is_told_plainly(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(PLATFORM_PORT=str(port), PLATFORM_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"The platform cannot start: port {port} for gateway is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_makes_no_sense_is_told_plainly(tmp_path: Path):
    done = run(PLATFORM_PORT="many", PLATFORM_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "PLATFORM_PORT: Input should be a valid integer" in done.stderr


def test_a_service_that_cannot_start_ends_the_start_with_its_last_words(tmp_path: Path, stand_ins: dict[str, str]):
    broken = tmp_path / "broken" / "registry"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "main.py").write_text("raise SystemExit('no such table: models')")
    path = f"{broken.parent}:{stand_ins['PYTHONPATH']}"
    platform = Platform(tmp_path / "data", {**FREE_PORTS, "PYTHONPATH": path})
    with pytest.raises(StartError, match=r"registry dies as soon as it starts(?s:.*)no such table: models"):
        platform.start()
    assert Running.read(tmp_path / "data") is None
