"""The gateways that are measured, each started before and stopped after: ours, its peers, and the upstream alone."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from embedded.platform import FREE_PORTS, Platform
from tests.bench.gateways.upstream import MODEL

KEY = "sk-bench"
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Contender:
    """`processes` are those that do its work, by name; CPU time is counted over them and their children."""

    name: str
    url: str
    key: str
    model: str
    processes: dict[str, list[psutil.Process]]

    def cpu_seconds(self) -> dict[str, float]:
        return {part: sum(map(_cpu, processes)) for part, processes in self.processes.items()}


def _cpu(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    times = [member.cpu_times() for member in family if member.is_running()]
    return sum(t.user + t.system for t in times)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def upstream(port: int, log: Path) -> Iterator[Contender]:
    """The fixed upstream: what it answers by itself is the floor."""
    command = [sys.executable, "-m", "tests.bench.gateways.upstream", str(port)]
    with _running(command, log, lambda: f"http://127.0.0.1:{port}/v1/models") as process:
        yield Contender(
            "upstream alone", f"http://127.0.0.1:{port}/v1/chat/completions", KEY, MODEL, {"all": [process]}
        )


@contextmanager
def platform(port: int, directory: Path) -> Iterator[Contender]:
    """Ours, as `make run` starts it: a key with a rate limit and a budget of its own, every interaction recorded,
    metrics on and one trace in a hundred sent. The limits are held, and too high to be reached."""
    environment = {
        **FREE_PORTS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "PLATFORM_TRACE_RATIO": "0.01",
        "PLATFORM_LOG_LEVEL": "WARNING",
    }
    with Platform(directory / "platform", environment) as started:
        config = {"provider_type": "openai", "api_base": f"http://127.0.0.1:{port}/v1", "model_name": MODEL}
        _post(started, "/api/v1/llm/config", config)
        limits = {"requests_per_minute": 10_000_000, "budget": {"tokens": 2**50, "period": "month"}}
        key = _post(started, "/api/v1/keys", {"name": "bench", "role": "member", **limits})["key"]
        parts = {
            "gateway": ["gateway"],
            "nats": ["nats"],
            "router": ["llm_router"],
            "postgres": ["postgres"],
        }
        processes = {part: [psutil.Process(started.pid(name)) for name in names] for part, names in parts.items()}
        url = f"{started.url}/v1/chat/completions"
        yield Contender("LLM Platform", url, key, MODEL, processes)


def _post(platform: Platform, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{platform.url}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {platform.admin_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return cast(dict[str, Any], json.load(response))


@contextmanager
def litellm(port: int, directory: Path, environment: Path) -> Iterator[Contender]:
    """LiteLLM's proxy with one worker and a master key; without a database, so it records nothing."""
    config = directory / "litellm.yaml"
    model = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": KEY}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    own = free_port()
    command = [str(environment / "bin" / "litellm"), "--config", str(config), "--port", str(own), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    health = f"http://127.0.0.1:{own}/health/liveliness"
    with _running(command, directory / "litellm.log", lambda: health, quiet) as process:
        url = f"http://127.0.0.1:{own}/v1/chat/completions"
        yield Contender("LiteLLM, 1 worker", url, KEY, MODEL, {"all": [process]})


_TENSORZERO = """
import sys, threading
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
with open(sys.argv[2], "w") as place:
    place.write(gateway.base_url)
threading.Event().wait()
"""


@contextmanager
def tensorzero(port: int, directory: Path, environment: Path) -> Iterator[Contender]:
    """TensorZero's Rust gateway out of its wheel; without a database, so it has no keys and records nothing."""
    config, place = directory / "tensorzero.toml", directory / "tensorzero.url"
    config.write_text(
        f"""
[gateway]
observability.enabled = false
[models.{MODEL}]
routing = ["upstream"]
[models.{MODEL}.providers.upstream]
type = "openai"
model_name = "{MODEL}"
api_base = "http://127.0.0.1:{port}/v1/"
api_key_location = "none"
""",
        encoding="utf-8",
    )
    command = [str(environment / "bin" / "python"), "-c", _TENSORZERO, str(config), str(place)]

    def base() -> str:
        return place.read_text(encoding="utf-8") if place.exists() else ""

    def health() -> str:
        return base().replace("/openai/v1", "/health") if base() else ""

    with _running(command, directory / "tensorzero.log", health) as process:
        model = f"tensorzero::model_name::{MODEL}"
        yield Contender("TensorZero", f"{base()}/chat/completions", KEY, model, {"all": [process]})


@contextmanager
def _running(
    command: Sequence[str], log: Path, health: Callable[[], str], environment: dict[str, str] | None = None
) -> Iterator[psutil.Process]:
    with log.open("ab") as output:
        process = psutil.Popen(
            list(command), stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(health()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except psutil.TimeoutExpired:
            process.kill()


def _answers(url: str) -> bool:
    if not url:
        return False
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return error.code < 500  # it is up, though it has no such route
    except OSError:
        return False
