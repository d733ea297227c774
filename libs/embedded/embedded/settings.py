"""What a person may choose about the platform on one machine, by environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    nats_port: int = Field(default=0, ge=0, le=65535)
    postgres_port: int = Field(default=0, ge=0, le=65535)
    s3_port: int = Field(default=0, ge=0, le=55535)
    gateway_admin_port: int = Field(default=0, ge=0, le=65535, description="/metrics, /healthz, /readyz of the gateway")
    llm_router_admin_port: int = Field(default=0, ge=0, le=65535)
    orchestrator_admin_port: int = Field(default=0, ge=0, le=65535)
    trainer_admin_port: int = Field(default=0, ge=0, le=65535)
    registry_admin_port: int = Field(default=0, ge=0, le=65535)
    local_engine_port: int = Field(default=0, ge=0, le=65535)
    simulated_small_port: int | None = Field(default=None, ge=0, le=65535, description="Else 5001 where that is free")
    simulated_medium_port: int | None = Field(default=None, ge=0, le=65535, description="Else 5002 where that is free")
