"""The process table of the engines and the five services: what to run, with which settings, and when it is ready."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedded.endpoints import SERVICES, Endpoints
from embedded.files import make_private
from embedded.log import parse_json
from embedded.ports import PortRequest
from embedded.probe import answers
from embedded.process import Command
from embedded.secrets import AdminKey, AdminPassword, Secrets
from embedded.settings import Settings
from embedded.vllm import VLLM, Vllm

LOCAL_ENGINE = "local_engine"
TRAINER = "trainer"
GATEWAY = "gateway"
_LOOPBACK = "127.0.0.1"
_SERVICE_GRACE = 15.0
_ENGINE_GRACE = 5.0
_FOR_THE_GATEWAY_ALONE = frozenset({"PLATFORM_ADMIN_KEY", "PLATFORM_ADMIN_PASSWORD"})


@dataclass(frozen=True)
class SimulatedEngine:
    """An engine that needs no model and says so in its answers (document C's instances)."""

    process: str
    name: str
    model: str
    usual_port: int
    config: Mapping[str, float]


SIMULATED_ENGINES = (
    SimulatedEngine(
        "simulated_small",
        "Simulated LLM 1 (small)",
        "simulated-small",
        5001,
        {"temperature": 0.7, "max_length": 1000},
    ),
    SimulatedEngine(
        "simulated_medium",
        "Simulated LLM 2 (medium)",
        "simulated-medium",
        5002,
        {"temperature": 0.5, "max_length": 2000},
    ),
)
ENGINES = (LOCAL_ENGINE, *(engine.process for engine in SIMULATED_ENGINES))


def admin_port_name(service: str) -> str:
    return f"{service}_admin"


def port_requests(settings: Settings) -> list[PortRequest]:
    """The ports that engines and services need."""
    wanted = [
        PortRequest(GATEWAY, settings.port, variable="PLATFORM_PORT"),
        PortRequest(LOCAL_ENGINE, settings.local_engine_port, variable="PLATFORM_LOCAL_ENGINE_PORT"),
    ]
    if settings.engine == "vllm":
        wanted.append(PortRequest(VLLM, settings.vllm_port, variable="PLATFORM_VLLM_PORT"))
    for engine in SIMULATED_ENGINES:
        chosen: int | None = getattr(settings, f"{engine.process}_port")
        preferred = engine.usual_port if chosen is None else 0
        variable = f"PLATFORM_{engine.process.upper()}_PORT"
        wanted.append(PortRequest(engine.process, chosen or 0, preferred=preferred, variable=variable))
    for service in SERVICES:
        name = admin_port_name(service)
        wanted.append(PortRequest(name, getattr(settings, f"{name}_port"), variable=f"PLATFORM_{name.upper()}_PORT"))
    return wanted


@dataclass(frozen=True)
class ProcessTable:
    """What engines and services are started with. `data_dir` is absolute."""

    settings: Settings
    data_dir: Path
    ports: Mapping[str, int]
    endpoints: Endpoints
    secrets: Secrets
    admin_key: AdminKey
    admin_password: AdminPassword
    vllm: Vllm | None = None

    @property
    def models_dir(self) -> Path:
        return make_private(self.data_dir / "models")

    @property
    def adapter_dir(self) -> Path:
        return make_private(self.data_dir / "adapters")

    def engines(self) -> list[Command]:
        """The local engine and the simulated ones."""
        local = ["--models-dir", str(self.models_dir), "--adapter-dir", str(self.adapter_dir)]
        if self.vllm is not None and self.vllm.has_gpu:
            # vLLM takes the GPU's whole memory.
            local += ["--device", "cpu"]
        return [
            self._engine(LOCAL_ENGINE, "engines.local", *local),
            *(
                self._engine(engine.process, "engines.simulated", "--name", engine.name, "--model", engine.model)
                for engine in SIMULATED_ENGINES
            ),
        ]

    def vllm_engine(self) -> list[Command]:
        """vLLM, if it was asked for."""
        if self.vllm is None:
            return []
        return [self.vllm.command(self.ports[VLLM], self._environment({}), self.data_dir)]

    def services(self) -> list[Command]:
        """All services but the trainer and the gateway."""
        extra: dict[str, dict[str, str]] = {
            "llm_router": {
                "PLATFORM_ENGINES": json.dumps(self._declared_engines()),
                "PLATFORM_ADAPTER_DIR": str(self.adapter_dir),
                "PLATFORM_SECRET_KEY": self.secrets.encryption_key,
            },
        }
        return [self._service(name, extra.get(name, {})) for name in SERVICES if name not in (TRAINER, GATEWAY)]

    def trainer(self) -> Command:
        """The trainer, a worker for the orchestrator."""
        return self._service(TRAINER, {"PLATFORM_MODELS_DIR": str(self.models_dir)})

    def gateway(self) -> Command:
        """The gateway, which alone is told the first administrator's key and password."""
        own = {
            "PLATFORM_PORT": str(self.ports[GATEWAY]),
            "PLATFORM_ADMIN_KEY": self.admin_key.value,
            "PLATFORM_ADMIN_PASSWORD": self.admin_password.value,
        }
        return self._service(GATEWAY, own)

    def _engine(self, process: str, module: str, *options: str) -> Command:
        port = self.ports[process]
        return Command(
            name=process,
            arguments=(sys.executable, "-m", module, "--host", _LOOPBACK, "--port", str(port), *options),
            environment=self._environment({}),
            ready=partial(answers, port, "/health"),
            parse=parse_json,
            grace=_ENGINE_GRACE,
        )

    def _service(self, service: str, own: Mapping[str, str]) -> Command:
        port = self.ports[admin_port_name(service)]
        shared = {
            "PLATFORM_ADMIN_HOST": _LOOPBACK,
            "PLATFORM_ADMIN_PORT": str(port),
            "PLATFORM_DATA_DIR": str(self.data_dir),
        }
        return Command(
            name=service,
            arguments=(sys.executable, "-m", f"{service}.main"),
            environment=self._environment({**self.endpoints[service].environment(), **shared, **own}),
            ready=partial(answers, port, "/readyz"),
            parse=parse_json,
            grace=_SERVICE_GRACE,
        )

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        # A person's variables pass on, so that OTEL_*, HF_* and settings of single services work; these do not.
        inherited = {key: value for key, value in os.environ.items() if key.upper() not in _FOR_THE_GATEWAY_ALONE}
        fixed = {"PYTHONUNBUFFERED": "1", "PLATFORM_LOG_LEVEL": self.settings.log_level}
        return {**inherited, **fixed, **own}

    def _declared_engines(self) -> list[dict[str, object]]:
        def declared(name: str, provider_type: str, process: str) -> dict[str, object]:
            port = self.ports[process]
            return {
                "name": name,
                "provider_type": provider_type,
                "api_base": f"http://{_LOOPBACK}:{port}/v1",
                "port": port,
            }

        return [
            *([self.vllm.declared(self.ports[VLLM])] if self.vllm is not None else []),
            declared("local", "local", LOCAL_ENGINE),
            *(
                {**declared(engine.name, "simulated", engine.process), "config": engine.config}
                for engine in SIMULATED_ENGINES
            ),
        ]
