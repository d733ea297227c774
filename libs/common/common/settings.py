"""Settings that every service has. Each service extends `ServiceSettings` with its own, under the same prefix."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

BUCKET_PREFIX = r"^[a-z0-9-]{0,40}$"


class ServiceSettings(BaseSettings):
    """Where a service finds the others, read from the environment (`PLATFORM_NATS_URL` and so on)."""

    model_config = SettingsConfigDict(
        env_prefix="PLATFORM_",
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
        # What is wrong with a password is no reason to show it.
        hide_input_in_errors=True,
    )

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="NATS servers, separated by commas")
    nats_user: str = Field(default="", description="User of this service; its permissions follow contracts.topology")
    nats_password: SecretStr = Field(default=SecretStr(""), description="Password of that user")
    database_url: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/platform"),
        description="Postgres, as the role of this service, which is granted its own schema alone",
    )
    database_pool_size: int = Field(default=10, ge=1, le=500, description="Most connections held to Postgres")
    s3_endpoint: str = Field(default="http://127.0.0.1:8333", description="Any S3 server")
    s3_access_key: str = Field(default="", description="Access key of this service")
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="Secret key of this service")
    s3_region: str = Field(default="us-east-1", description="Region that requests are signed for")
    s3_bucket_prefix: str = Field(
        default="", pattern=BUCKET_PREFIX, description="Put before the names of buckets, where others have taken them"
    )
    admin_host: str = Field(default="127.0.0.1", description="Where /metrics, /healthz and /readyz listen")
    admin_port: int = Field(default=0, ge=0, le=65535, description="Port of those; 0 takes a free one")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    data_dir: Path = Field(default=Path(".platform"), description="Where this machine keeps the platform's files")
    max_concurrency: int = Field(default=512, ge=1, description="Most requests handled at once; more wait in line")
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long what is being answered may go on when the service is told to end"
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of traces kept when OTEL_EXPORTER_OTLP_ENDPOINT is set"
    )
