"""What a person may choose about the platform on one machine, by environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedded.demo.base_model import BASE_MODEL


class Settings(BaseSettings):
    """Read from `PLATFORM_PORT` and so on. A port of 0 takes a free one, the same at each start while it stays free."""

    model_config = SettingsConfigDict(env_prefix="PLATFORM_", frozen=True, extra="ignore")

    port: int = Field(default=8000, ge=0, le=65535, description="Where the gateway answers")
    data_dir: Path = Field(default=Path(".platform"), description="Where everything is kept")
    admin_key: SecretStr | None = Field(
        default=None, min_length=16, description="Key of the first administrator; without it one is made and kept"
    )
    admin_password: SecretStr | None = Field(
        default=None, min_length=12, description="Of the first user, `admin`; without it one is made and kept"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Of the services; DEBUG also shows what the servers say in passing"
    )
    start_timeout: float = Field(default=120.0, gt=0, description="Seconds until all must be ready")

    engine: Literal["local", "vllm"] = Field(
        default="local", description="`vllm` starts vLLM too (`make run ENGINE=vllm`), and prefers it for its model"
    )
    vllm_model: str = Field(
        default=BASE_MODEL,
        min_length=1,
        description="What vLLM serves: a model in `models` of data_dir, another folder, or a Hugging Face id;"
        " the default is the demo's small model, which is made if need be",
    )
    vllm_max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = Field(
        default=64, description="Highest rank of an adapter that vLLM loads; more takes more memory"
    )
    vllm_options: str = Field(
        default="", description="More options of `vllm serve`, as in a shell: `--max-model-len 8192`"
    )
    vllm_environment: Path | None = Field(
        default=None, description="Virtual environment with vLLM; by default the one that `make` puts beside its own"
    )
    vllm_start_timeout: float = Field(
        default=1800.0, gt=0, description="Seconds until vLLM must be ready, the download of its model included"
    )

    nats_port: int = Field(default=0, ge=0, le=65535)
    postgres_port: int = Field(default=0, ge=0, le=65535)
    s3_port: int = Field(default=0, ge=0, le=55535)
    gateway_admin_port: int = Field(default=0, ge=0, le=65535, description="/metrics, /healthz, /readyz of the gateway")
    llm_router_admin_port: int = Field(default=0, ge=0, le=65535)
    orchestrator_admin_port: int = Field(default=0, ge=0, le=65535)
    trainer_admin_port: int = Field(default=0, ge=0, le=65535)
    registry_admin_port: int = Field(default=0, ge=0, le=65535)
    local_engine_port: int = Field(default=0, ge=0, le=65535)
    vllm_port: int = Field(default=0, ge=0, le=65535)
    simulated_small_port: int | None = Field(default=None, ge=0, le=65535, description="Else 5001 where that is free")
    simulated_medium_port: int | None = Field(default=None, ge=0, le=65535, description="Else 5002 where that is free")
