"""What the local engine is told on its command line, or by `PLATFORM_LOCAL_ENGINE_*`."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def _usable_processors() -> int:
    # macOS has no affinity to ask for.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalSettings(BaseSettings):
    """Frozen settings of the local engine."""

    model_config = SettingsConfigDict(
        env_prefix="PLATFORM_LOCAL_ENGINE_",
        frozen=True,
        extra="ignore",
        cli_prog_name="python -m engines.local",
        cli_kebab_case=True,
        protected_namespaces=(),
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=5000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    models_dir: Path = Field(description="Folder of base models, each a folder with a config.json and safetensors")
    adapter_dir: Path = Field(description="Folder that LoRA adapters are loaded from")
    hub: bool = Field(default=True, description="Take other names for Hugging Face ids and download what they name")
    max_models: int = Field(default=2, ge=1, description="Most base models in memory; the least recently used goes")
    max_waiting: int = Field(default=32, ge=0, description="Most requests in line for a base model before a 503")
    max_completion_tokens: int = Field(
        default=4096, ge=1, description="Most tokens of one answer, whatever the request and the model allow"
    )
    device: Device = Field(default="auto", description="Where models run; auto takes the GPU if there is one")
    dtype: Dtype = Field(default="auto", description="Precision of the weights; auto keeps the one they are saved in")
    threads: int = Field(
        default_factory=_usable_processors,
        ge=1,
        description="Processor threads of one generation; by default all that this process may use",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
